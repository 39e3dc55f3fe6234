// What takes each number for itself: a thread for eight of a row.

// Where a thread's eight numbers are.
struct Place {
    u32 row, i;
    bool active;
};

DEVICE Place place(u32 rows, u32 width) {
    u32 vectors = (width + VECTOR - 1) / VECTOR;
    u64 thread = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    Place place;
    place.row = (u32)(thread / vectors);
    place.i = (u32)(thread % vectors) * VECTOR;
    place.active = place.row < rows;
    return place;
}

template <class T>
DEVICE void add(const T *x, const T *y, T *out, u32 rows, u32 width) {
    Place at = place(rows, width);
    if (!at.active) return;
    float left[VECTOR], right[VECTOR];
    load(x, at.i, width, left);
    load(y, at.i, width, right);
    EACH_NUMBER left[j] += right[j];
    store(out, at.i, width, left);
}

#define PARAMETERS(T) const T *x, const T *y, T *out, u32 rows, u32 width
KERNEL(add, 256, (x, y, out, rows, width))
#undef PARAMETERS

template <class T>
DEVICE void activate(const T *x, u32 activation, T *out, u32 rows, u32 width) {
    Place at = place(rows, width);
    if (!at.active) return;
    float value[VECTOR];
    load(x, at.i, width, value);
    EACH_NUMBER value[j] = activated(value[j], activation);
    store(out, at.i, width, value);
}

#define PARAMETERS(T) const T *x, u32 activation, T *out, u32 rows, u32 width
KERNEL(activate, 256, (x, activation, out, rows, width))
#undef PARAMETERS

template <class T>
DEVICE void swiglu(const T *gate, u32 gate_stride, const T *up, u32 up_stride, T *out, u32 rows,
                   u32 width) {
    Place at = place(rows, width);
    if (!at.active) return;
    float gates[VECTOR], ups[VECTOR];
    load(gate + (u64)at.row * gate_stride, at.i, width, gates);
    load(up + (u64)at.row * up_stride, at.i, width, ups);
    EACH_NUMBER gates[j] = activated(gates[j], 1) * ups[j];
    store(out + (u64)at.row * width, at.i, width, gates);
}

#define PARAMETERS(T)                                                                              \
    const T *gate, u32 gate_stride, const T *up, u32 up_stride, T *out, u32 rows, u32 width
KERNEL(swiglu, 256, (gate, gate_stride, up, up_stride, out, rows, width))
#undef PARAMETERS

template <class From, class To>
DEVICE void copy_rows(const From *x, u32 x_stride, const u32 *order, To *out, u32 out_stride,
                      u32 rows, u32 width) {
    Place at = place(rows, width);
    if (!at.active) return;
    u32 from = order ? order[at.row] : at.row;
    float value[VECTOR];
    load(x + (u64)from * x_stride, at.i, width, value);
    store(out + (u64)at.row * out_stride, at.i, width, value);
}

template <class To>
DEVICE void copy_f32(const float *x, u32 x_stride, const u32 *order, To *out, u32 out_stride,
                     u32 rows, u32 width) {
    copy_rows(x, x_stride, order, out, out_stride, rows, width);
}

template <class To>
DEVICE void copy_bf16(const bf16 *x, u32 x_stride, const u32 *order, To *out, u32 out_stride,
                      u32 rows, u32 width) {
    copy_rows(x, x_stride, order, out, out_stride, rows, width);
}

#define PARAMETERS(T)                                                                              \
    const float *x, u32 x_stride, const u32 *order, T *out, u32 out_stride, u32 rows, u32 width
KERNEL(copy_f32, 256, (x, x_stride, order, out, out_stride, rows, width))
#undef PARAMETERS

#define PARAMETERS(T)                                                                              \
    const bf16 *x, u32 x_stride, const u32 *order, T *out, u32 out_stride, u32 rows, u32 width
KERNEL(copy_bf16, 256, (x, x_stride, order, out, out_stride, rows, width))
#undef PARAMETERS

template <class T>
DEVICE void finish(T *y, const float *row_scales, const float *column_scales, const T *bias,
                   u32 activation, u32 rows, u32 width) {
    Place at = place(rows, width);
    if (!at.active) return;
    T *row = y + (u64)at.row * width;
    float value[VECTOR], other[VECTOR];
    load(row, at.i, width, value);
    if (row_scales) {
        float scale = row_scales[at.row];
        EACH_NUMBER value[j] *= scale;
    }
    if (column_scales) {
        load(column_scales, at.i, width, other);
        EACH_NUMBER value[j] *= other[j];
    }
    if (bias) {
        load(bias, at.i, width, other);
        EACH_NUMBER value[j] += other[j];
    }
    EACH_NUMBER value[j] = activated(value[j], activation);
    store(row, at.i, width, value);
}

#define PARAMETERS(T)                                                                              \
    T *y, const float *row_scales, const float *column_scales, const T *bias, u32 activation,      \
        u32 rows, u32 width
KERNEL(finish, 256, (y, row_scales, column_scales, bias, activation, rows, width))
#undef PARAMETERS
