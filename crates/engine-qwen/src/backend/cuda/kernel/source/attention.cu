// Attention whose scores are never held whole: a tile of queries meets a tile of keys at a time,
// and the softmax is kept up to date as they come.

#define ALL 0
#define CAUSAL 1
#define BLOCKS 2

// What a tile of queries sees.
struct Tile {
    // The queries from `first` to `end`, of which the tile takes as many as it can.
    u32 first, end;
    // The keys.
    u32 key, keys_end;
};

// The tile of this block of threads; one without queries if there are fewer.
DEVICE Tile tile_of(u32 queries, u32 keys, u32 mode, const u32 *ends, u32 blocks, u32 size) {
    u32 number = blockIdx.x;
    if (mode != BLOCKS) {
        u32 first = number * size;
        u32 seen = mode == CAUSAL ? min(first + size, keys) : keys;
        return {first, queries, 0, seen};
    }
    for (u32 block = 0, start = 0; block < blocks; block++) {
        u32 end = ends[block], tiles = (end - start + size - 1) / size;
        if (number < tiles) return {start + number * size, end, start, end};
        number -= tiles;
        start = end;
    }
    return {queries, queries, 0, 0};
}

// Queries of a tile.
#define QUERIES 64
#define MINUS_INFINITY __uint_as_float(0xff800000)

// Rows of a matrix to shared memory, zeros beyond the last.
template <int WIDTH, int ROWS>
DEVICE void copy_tile(bf16 *to, const bf16 *from, u32 stride, u32 row, u32 end) {
    const u32 chunks = WIDTH / VECTOR;
    for (u32 i = threadIdx.x; i < ROWS * chunks; i += 128) {
        u32 r = i / chunks, column = i % chunks * VECTOR;
        bool there = row + r < end;
        const bf16 *at = from + (there ? (u64)(row + r) * stride + column : 0);
        copy_later(to + r * (WIDTH + 8) + column, at, there);
    }
}

// What a lane knows of two queries, eight rows apart: the largest score so far, in powers of two,
// and the sum of all powers.
struct Softmax {
    float largest[2], sum[2];
};

// Scores become powers of two; what came before is to be multiplied with `correction`.
template <int KEYS> DEVICE void update(Softmax &softmax, float (*scores)[4], float *correction) {
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float largest = softmax.largest[r];
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
            largest = fmaxf(largest, fmaxf(scores[n][2 * r], scores[n][2 * r + 1]));
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffff, largest, 1));
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffff, largest, 2));
        // Of a row that has seen nothing yet, whose scores are all minus infinity.
        float base = largest == MINUS_INFINITY ? 0.0f : largest;
        correction[r] = power_of_two(softmax.largest[r] - base);
        softmax.largest[r] = largest;
        float sum = 0.0f;
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
            for (int j = 2 * r; j < 2 * r + 2; j++) {
                scores[n][j] = power_of_two(scores[n][j] - base);
                sum += scores[n][j];
            }
        }
        softmax.sum[r] = softmax.sum[r] * correction[r] + sum;
    }
}

// Scores in powers of two, of the keys that are seen.
template <int KEYS>
DEVICE void mask(float (*scores)[4], float scale, u32 query, u32 key, u32 keys_end, bool causal) {
    u32 lane = threadIdx.x % 32;
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            u32 at = key + n * 8 + lane % 4 * 2 + j % 2;
            u32 of = query + lane / 4 + j / 2 * 8;
            bool seen = at < keys_end && !(causal && at > of);
            scores[n][j] = seen ? scores[n][j] * scale : MINUS_INFINITY;
        }
    }
}

// Queries times keys: 16 rows of a warp by a tile.
template <int WIDTH, int KEYS>
DEVICE void score(float (*scores)[4], const bf16 *queries, const bf16 *keys) {
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int j = 0; j < 4; j++) scores[n][j] = 0.0f;
#pragma unroll
    for (int d = 0; d < WIDTH; d += 16) {
        u32 left[4];
        load_left(left, queries + d, WIDTH + 8);
#pragma unroll
        for (int n = 0; n < KEYS; n += 16) {
            u32 right[4];
            load_right(right, keys + n * (WIDTH + 8) + d, WIDTH + 8);
            multiply(scores[n / 8], left, right);
            multiply(scores[n / 8 + 1], left, right + 2);
        }
    }
}

// Adds powers times values.
template <int COLUMNS, int KEYS>
DEVICE void gather(float (*sums)[4], float (*powers)[4], const bf16 *values) {
#pragma unroll
    for (int key = 0; key < KEYS; key += 16) {
        float *low = powers[key / 8], *high = powers[key / 8 + 1];
        u32 left[4] = {bf16_pair(low[0], low[1]), bf16_pair(low[2], low[3]),
                       bf16_pair(high[0], high[1]), bf16_pair(high[2], high[3])};
#pragma unroll
        for (int n = 0; n < COLUMNS; n += 16) {
            u32 right[4];
            load_right_across(right, values + key * (COLUMNS + 8) + n, COLUMNS + 8);
            multiply(sums[n / 8], left, right);
            multiply(sums[n / 8 + 1], left, right + 2);
        }
    }
}

template <int COLUMNS>
DEVICE void finish_tile(float (*sums)[4], Softmax softmax, bf16 *out, u32 stride, u32 query,
                        u32 end) {
    u32 lane = threadIdx.x % 32;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float sum = softmax.sum[r];
        sum += __shfl_xor_sync(0xffffffff, sum, 1);
        sum += __shfl_xor_sync(0xffffffff, sum, 2);
        u32 row = query + lane / 4 + r * 8;
        if (row >= end) continue;
        bf16 *to = out + (u64)row * stride + lane % 4 * 2;
#pragma unroll
        for (int n = 0; n < COLUMNS / 8; n++)
            *(u32 *)(to + n * 8) = bf16_pair(sums[n][2 * r] / sum, sums[n][2 * r + 1] / sum);
    }
}

// Heads of WIDTH numbers, of which the result's COLUMNS are computed from `blockIdx.z` on: four
// warps, 16 queries each.
template <int WIDTH, int COLUMNS, int KEYS>
DEVICE void attend_tile(const bf16 *q, u32 q_stride, const bf16 *k, u32 k_stride, const bf16 *v,
                        u32 v_stride, bf16 *out, u32 out_stride, Tile tile, u32 shared_by,
                        float scale, bool causal) {
    EXTERN_SHARED(bf16, memory);
    bf16 *queries = memory;
    bf16 *keys = queries + QUERIES * (WIDTH + 8);
    bf16 *values = keys + 2 * KEYS * (WIDTH + 8);
    const u32 key_tile = KEYS * (WIDTH + 8), value_tile = KEYS * (COLUMNS + 8);

    u32 head = blockIdx.y, column = blockIdx.z * COLUMNS;
    q += head * WIDTH;
    k += head / shared_by * WIDTH;
    v += head / shared_by * WIDTH + column;
    out += head * WIDTH + column;

    copy_tile<WIDTH, QUERIES>(queries, q, q_stride, tile.first, tile.end);
    copy_tile<WIDTH, KEYS>(keys, k, k_stride, tile.key, tile.keys_end);
    copy_tile<COLUMNS, KEYS>(values, v, v_stride, tile.key, tile.keys_end);
    copies_end();

    u32 warp = threadIdx.x / 32, query = tile.first + warp * 16;
    float sums[COLUMNS / 8][4] = {};
    Softmax softmax = {{MINUS_INFINITY, MINUS_INFINITY}, {0.0f, 0.0f}};
    u32 current = 0;
    for (u32 key = tile.key; key < tile.keys_end; key += KEYS, current ^= 1) {
        if (key + KEYS < tile.keys_end) {
            u32 next = current ^ 1;
            copy_tile<WIDTH, KEYS>(keys + next * key_tile, k, k_stride, key + KEYS, tile.keys_end);
            copy_tile<COLUMNS, KEYS>(values + next * value_tile, v, v_stride, key + KEYS,
                               tile.keys_end);
            copies_end();
            copies_wait<1>();
        } else {
            copies_wait<0>();
        }
        __syncthreads();
        float scores[KEYS / 8][4], correction[2];
        score<WIDTH, KEYS>(scores, queries + warp * 16 * (WIDTH + 8), keys + current * key_tile);
        mask<KEYS>(scores, scale, query, key, tile.keys_end, causal);
        update<KEYS>(softmax, scores, correction);
#pragma unroll
        for (int n = 0; n < COLUMNS / 8; n++)
#pragma unroll
            for (int j = 0; j < 4; j++) sums[n][j] *= correction[j / 2];
        gather<COLUMNS, KEYS>(sums, scores, values + current * value_tile);
        __syncthreads();
    }
    finish_tile<COLUMNS>(sums, softmax, out, out_stride, query, tile.end);
}

#define PARAMETERS(T)                                                                              \
    const T *q, u32 q_stride, const T *k, u32 k_stride, const T *v, u32 v_stride, T *out,          \
        u32 out_stride, u32 queries, u32 keys, u32 shared_by, u32 width, float scale, u32 mode,    \
        const u32 *ends, u32 blocks

#define ATTEND(WIDTH, COLUMNS, KEYS)                                                                    \
    extern "C" __global__ void __launch_bounds__(128) attend_##WIDTH(PARAMETERS(bf16)) {           \
        Tile tile = tile_of(queries, keys, mode, ends, blocks, QUERIES);                              \
        if (tile.first >= tile.end) return;                                                        \
        attend_tile<WIDTH, COLUMNS, KEYS>(q, q_stride, k, k_stride, v, v_stride, out, out_stride, tile,  \
                                    shared_by, scale * 1.44269504f, mode == CAUSAL);               \
    }

ATTEND(64, 64, 64)
ATTEND(80, 80, 64)
ATTEND(128, 128, 64)
// Fewer keys, so that shared memory is enough on every device.
ATTEND(384, 128, 16)

// Numbers of a head that a lane holds.
#define HELD 16

// Any width up to 512, a warp a query: for what the matrix units do not take.
template <class T>
DEVICE void attend(const T *q, u32 q_stride, const T *k, u32 k_stride, const T *v, u32 v_stride,
                   T *out, u32 out_stride, u32 queries, u32 keys, u32 shared_by, u32 width,
                   float scale, u32 mode, const u32 *ends, u32 blocks) {
    Tile tile = tile_of(queries, keys, mode, ends, blocks, 4);
    u32 query = tile.first + threadIdx.x / 32, lane = threadIdx.x % 32, head = blockIdx.y;
    if (query >= tile.end) return;
    u32 keys_end = mode == CAUSAL ? min(query + 1, keys) : tile.keys_end;
    q += (u64)query * q_stride + head * width;
    k += head / shared_by * width;
    v += head / shared_by * width;
    out += (u64)query * out_stride + head * width;

    float asked[HELD], sums[HELD], largest = MINUS_INFINITY, sum = 0.0f;
#pragma unroll
    for (u32 i = 0, d = lane; i < HELD; i++, d += 32) {
        asked[i] = d < width ? wide(q[d]) * scale * 1.44269504f : 0.0f;
        sums[i] = 0.0f;
    }
    for (u32 key = tile.key; key < keys_end; key++) {
        float score = 0.0f;
#pragma unroll
        for (u32 i = 0, d = lane; i < HELD; i++, d += 32)
            if (d < width) score += asked[i] * wide(k[(u64)key * k_stride + d]);
        for (u32 lanes = 16; lanes; lanes /= 2)
            score += __shfl_xor_sync(0xffffffff, score, lanes);
        float before = largest;
        largest = fmaxf(largest, score);
        float correction = power_of_two(before - largest), power = power_of_two(score - largest);
        sum = sum * correction + power;
#pragma unroll
        for (u32 i = 0, d = lane; i < HELD; i++, d += 32)
            if (d < width)
                sums[i] = sums[i] * correction + power * wide(v[(u64)key * v_stride + d]);
    }
#pragma unroll
    for (u32 i = 0, d = lane; i < HELD; i++, d += 32)
        if (d < width) out[d] = Narrow<T>::from(sums[i] / sum);
}

KERNEL(attend, 128,
       (q, q_stride, k, k_stride, v, v_stride, out, out_stride, queries, keys, shared_by, width,
        scale, mode, ends, blocks))
#undef PARAMETERS
