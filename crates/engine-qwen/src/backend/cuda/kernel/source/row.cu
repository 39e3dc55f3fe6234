// Norms, what is fused with them, and quantisation: a team of lanes keeps a row in registers.

// Vectors that a lane keeps.
#define VECTORS 4
// The largest block.
#define THREADS 512

struct Team {
    u32 size, lane, row;
    // Whether the row is one: lanes of a team that has none still meet the others at barriers.
    bool active;
};

DEVICE Team team_of(u32 rows, u32 size) {
    Team team;
    team.size = size;
    team.lane = threadIdx.x % size;
    team.row = blockIdx.x * (blockDim.x / size) + threadIdx.x / size;
    team.active = team.row < rows;
    if (!team.active) team.row = rows - 1;
    return team;
}

struct Sum {
    DEVICE float of(float x, float y) { return x + y; }
};

struct Largest {
    DEVICE float of(float x, float y) { return fmaxf(x, y); }
};

// Over all lanes of a team. A team is of a power of two up to 32, or of whole warps and a block.
template <class Join> DEVICE float joined(float x, u32 team) {
    __shared__ float warps[THREADS / 32];
    for (u32 lanes = team < 32 ? team / 2 : 16; lanes; lanes /= 2)
        x = Join::of(x, __shfl_xor_sync(0xffffffff, x, lanes));
    if (team <= 32) return x;
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = x;
    __syncthreads();
    x = warps[0];
    for (u32 warp = 1; warp < team / 32; warp++) x = Join::of(x, warps[warp]);
    __syncthreads();
    return x;
}

struct Row {
    float at[VECTORS][VECTOR];
};

// Whatever is done with each vector of a row: `i` is where it begins.
#define EACH_VECTOR(team, width)                                                                   \
    _Pragma("unroll") for (u32 k = 0, i = (team).lane * VECTOR; k < VECTORS;                       \
                           k++, i += (team).size * VECTOR) if (i < (width))

template <class T> DEVICE void load_row(Row &row, const T *from, Team team, u32 width) {
    EACH_VECTOR(team, width) load(from + (u64)team.row * width, i, width, row.at[k]);
}

template <class T> DEVICE void store_row(T *to, const Row &row, Team team, u32 width) {
    if (!team.active) return;
    EACH_VECTOR(team, width) store(to + (u64)team.row * width, i, width, row.at[k]);
}

DEVICE float sum_of_squares(const Row &row, Team team, u32 width, float from) {
    float sum = 0.0f;
    EACH_VECTOR(team, width) EACH_NUMBER {
        float x = row.at[k][j] - from;
        if (i + j < width) sum += x * x;
    }
    return joined<Sum>(sum, team.size);
}

// To mean 0 and deviation 1.
DEVICE void standardise(Row &row, Team team, u32 width, float eps) {
    float sum = 0.0f;
    EACH_VECTOR(team, width) EACH_NUMBER sum += row.at[k][j];
    float mean = joined<Sum>(sum, team.size) / width;
    float variance = sum_of_squares(row, team, width, mean) / width;
    float factor = 1.0f / sqrtf(variance + eps);
    EACH_VECTOR(team, width) EACH_NUMBER row.at[k][j] = (row.at[k][j] - mean) * factor;
}

// A row of a modulation for each row.
template <class T> struct Rows {
    const T *first, *rest;
    u32 split;
};

template <class T> DEVICE const T *row_of(Rows<T> rows, Team team) {
    return team.row < rows.split ? rows.first : rows.rest;
}

template <class T>
DEVICE void modulate(Row &row, Team team, u32 width, Rows<T> shifts, Rows<T> scales) {
    const T *shift = row_of(shifts, team), *scale = row_of(scales, team);
    EACH_VECTOR(team, width) {
        float add[VECTOR], factor[VECTOR];
        load(shift, i, width, add);
        load(scale, i, width, factor);
        EACH_NUMBER row.at[k][j] = row.at[k][j] * (1.0f + factor[j]) + add[j];
    }
}

// To FP8: the largest number of the row becomes 448.
DEVICE void quantise_row(const Row &row, Team team, u32 width, u8 *codes, float *scales) {
    float largest = 0.0f;
    EACH_VECTOR(team, width) EACH_NUMBER {
        if (i + j < width) largest = fmaxf(largest, fabsf(row.at[k][j]));
    }
    largest = joined<Largest>(largest, team.size);
    float scale = largest == 0.0f ? 1.0f : largest / 448.0f;
    if (!team.active) return;
    if (team.lane == 0) scales[team.row] = scale;
    u8 *to = codes + (u64)team.row * width;
    EACH_VECTOR(team, width) {
        u64 eight = 0;
        EACH_NUMBER eight |= (u64)e4m3(row.at[k][j] / scale) << (8 * j);
        if (width % VECTOR == 0) {
            *(u64 *)(to + i) = eight;
        } else {
            EACH_NUMBER if (i + j < width) to[i + j] = (u8)(eight >> (8 * j));
        }
    }
}

template <class T>
DEVICE void put(const Row &row, Team team, u32 width, T *out, u8 *codes, float *scales) {
    if (codes)
        quantise_row(row, team, width, codes, scales);
    else
        store_row(out, row, team, width);
}

template <class T>
DEVICE void modulated_norm(const T *x, Rows<T> shift, Rows<T> scale, T *out, u8 *codes,
                           float *scales, float eps, u32 rows, u32 width, u32 size) {
    Team team = team_of(rows, size);
    Row row;
    load_row(row, x, team, width);
    standardise(row, team, width, eps);
    modulate(row, team, width, shift, scale);
    put(row, team, width, out, codes, scales);
}

#define PARAMETERS(T)                                                                              \
    const T *x, const T *shift, const T *shift_rest, u32 shift_split, const T *scale,              \
        const T *scale_rest, u32 scale_split, T *out, u8 *codes, float *scales, float eps,         \
        u32 rows, u32 width, u32 team
KERNEL(modulated_norm, THREADS,
       (x, {shift, shift_rest, shift_split}, {scale, scale_rest, scale_split}, out, codes, scales,
        eps, rows, width, team))
#undef PARAMETERS

// x + gate * y, rounded as it is stored.
template <class T>
DEVICE void sum_gated(Row &row, const T *x, const T *y, Rows<T> gates, Team team, u32 width) {
    load_row(row, x, team, width);
    const T *gate = row_of(gates, team);
    EACH_VECTOR(team, width) {
        float other[VECTOR], factor[VECTOR];
        load(y + (u64)team.row * width, i, width, other);
        load(gate, i, width, factor);
        EACH_NUMBER row.at[k][j] = stored<T>(row.at[k][j] + factor[j] * other[j]);
    }
}

template <class T>
DEVICE void add_gated(const T *x, const T *y, Rows<T> gate, T *out, u32 rows, u32 width,
                      u32 size) {
    Team team = team_of(rows, size);
    Row row;
    sum_gated(row, x, y, gate, team, width);
    store_row(out, row, team, width);
}

#define PARAMETERS(T)                                                                              \
    const T *x, const T *y, const T *gate, const T *gate_rest, u32 gate_split, T *out, u32 rows,   \
        u32 width, u32 team
KERNEL(add_gated, THREADS,
       (x, y, {gate, gate_rest, gate_split}, out, rows, width, team))
#undef PARAMETERS

template <class T>
DEVICE void add_gated_norm(const T *x, const T *y, Rows<T> gate, Rows<T> shift, Rows<T> scale,
                           T *sum, T *out, u8 *codes, float *scales, float eps, u32 rows,
                           u32 width, u32 size) {
    Team team = team_of(rows, size);
    Row row;
    sum_gated(row, x, y, gate, team, width);
    store_row(sum, row, team, width);
    standardise(row, team, width, eps);
    modulate(row, team, width, shift, scale);
    put(row, team, width, out, codes, scales);
}

#define PARAMETERS(T)                                                                              \
    const T *x, const T *y, const T *gate, const T *gate_rest, u32 gate_split, const T *shift,     \
        const T *shift_rest, u32 shift_split, const T *scale, const T *scale_rest,                 \
        u32 scale_split, T *sum, T *out, u8 *codes, float *scales, float eps, u32 rows,            \
        u32 width, u32 team
KERNEL(add_gated_norm, THREADS,
       (x, y, {gate, gate_rest, gate_split}, {shift, shift_rest, shift_split},
        {scale, scale_rest, scale_split}, sum, out, codes, scales, eps, rows, width, team))
#undef PARAMETERS

// Each number multiplied by the same, and by its weight.
DEVICE void weigh(Row &row, Team team, u32 width, float factor, const float *weight) {
    EACH_VECTOR(team, width) {
        float weights[VECTOR];
        load(weight, i, width, weights);
        EACH_NUMBER row.at[k][j] = row.at[k][j] * factor * weights[j];
    }
}

template <class T>
DEVICE void rms_norm(const T *x, const float *weight, T *out, float eps, u32 rows, u32 width,
                     u32 size) {
    Team team = team_of(rows, size);
    Row row;
    load_row(row, x, team, width);
    float mean = sum_of_squares(row, team, width, 0.0f) / width;
    weigh(row, team, width, 1.0f / sqrtf(mean + eps), weight);
    store_row(out, row, team, width);
}

#define PARAMETERS(T)                                                                              \
    const T *x, const float *weight, T *out, float eps, u32 rows, u32 width, u32 team
KERNEL(rms_norm, THREADS, (x, weight, out, eps, rows, width, team))
#undef PARAMETERS

template <class T>
DEVICE void layer_norm(const T *x, const float *weight, const float *bias, T *out, float eps,
                       u32 rows, u32 width, u32 size) {
    Team team = team_of(rows, size);
    Row row;
    load_row(row, x, team, width);
    standardise(row, team, width, eps);
    weigh(row, team, width, 1.0f, weight);
    EACH_VECTOR(team, width) {
        float add[VECTOR];
        load(bias, i, width, add);
        EACH_NUMBER row.at[k][j] += add[j];
    }
    store_row(out, row, team, width);
}

#define PARAMETERS(T)                                                                              \
    const T *x, const float *weight, const float *bias, T *out, float eps, u32 rows, u32 width,    \
        u32 team
KERNEL(layer_norm, THREADS, (x, weight, bias, out, eps, rows, width, team))
#undef PARAMETERS

template <class T>
DEVICE void channel_norm(const T *x, const float *gamma, u32 activation, T *out, u32 rows,
                         u32 width, u32 size) {
    Team team = team_of(rows, size);
    Row row;
    load_row(row, x, team, width);
    float norm = sqrtf(sum_of_squares(row, team, width, 0.0f));
    weigh(row, team, width, sqrtf((float)width) / fmaxf(norm, 1e-12f), gamma);
    EACH_VECTOR(team, width) EACH_NUMBER row.at[k][j] = activated(row.at[k][j], activation);
    store_row(out, row, team, width);
}

#define PARAMETERS(T)                                                                              \
    const T *x, const float *gamma, u32 activation, T *out, u32 rows, u32 width, u32 team
KERNEL(channel_norm, THREADS, (x, gamma, activation, out, rows, width, team))
#undef PARAMETERS

template <class T>
DEVICE void quantise(const T *x, u8 *codes, float *scales, u32 rows, u32 width, u32 size) {
    Team team = team_of(rows, size);
    Row row;
    load_row(row, x, team, width);
    quantise_row(row, team, width, codes, scales);
}

#define PARAMETERS(T) const T *x, u8 *codes, float *scales, u32 rows, u32 width, u32 team
KERNEL(quantise, THREADS, (x, codes, scales, rows, width, team))
#undef PARAMETERS
