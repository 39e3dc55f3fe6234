// What looks at a pixel's neighbours, or at what is shown of it. Pictures are
// [height, width, channels].

// How a kernel slides over a picture.
struct Window {
    u32 height, width, channels, out_height, out_width, outputs, kernel, stride, left, top;
};

// Where a pixel of the result begins to look, which may be outside.
struct Corner {
    int y, x;
};

DEVICE Corner corner_of(Window w, u32 pixel) {
    return {(int)(pixel / w.out_width * w.stride) - (int)w.top,
            (int)(pixel % w.out_width * w.stride) - (int)w.left};
}

// A number of a neighbourhood, by its depth in a row of the weights.
struct Tap {
    u32 row, column, channel;
};

DEVICE Tap tap_of(Window w, u32 depth) {
    u32 tap = depth / w.channels;
    return {tap / w.kernel, tap % w.kernel, depth % w.channels};
}

// Where it is; nowhere if it is outside.
template <class T> DEVICE const T *neighbour(const T *x, Window w, Corner corner, Tap tap) {
    int row = corner.y + (int)tap.row, column = corner.x + (int)tap.column;
    bool inside = row >= 0 && row < (int)w.height && column >= 0 && column < (int)w.width;
    return inside ? x + ((u64)row * w.width + column) * w.channels + tap.channel : 0;
}

// Pixels and channels of the result that a block computes, and the depth that it meets at a time.
#define PIXELS 128
#define OUTPUTS 64
#define DEPTH 32
#define PITCH (DEPTH + 8)
// Tiles on their way or read.
#define STAGES 3

struct Stage {
    bf16 pixels[PIXELS * PITCH], weights[OUTPUTS * PITCH];
};

// Vectors of a row of a stage. A thread copies one of three rows: of two pixels and an output.
#define CHUNKS (DEPTH / VECTOR)
#define ROWS (256 / CHUNKS)

// What a thread copies, the same at every stage.
struct Copies {
    const bf16 *x, *weights;
    Corner corners[PIXELS / ROWS];
    bool pixels[PIXELS / ROWS], output;
    u32 row, column, depths;
};

DEVICE Copies copies_of(const bf16 *x, const bf16 *weight, Window w) {
    Copies own;
    own.row = threadIdx.x / CHUNKS;
    own.column = threadIdx.x % CHUNKS * VECTOR;
    own.depths = w.kernel * w.kernel * w.channels;
    own.x = x;
    u32 output = blockIdx.y * OUTPUTS + own.row;
    own.output = output < w.outputs;
    own.weights = weight + (own.output ? (u64)output * own.depths : 0);
#pragma unroll
    for (u32 i = 0; i < PIXELS / ROWS; i++) {
        u32 pixel = blockIdx.x * PIXELS + own.row + i * ROWS;
        own.pixels[i] = pixel < w.out_height * w.out_width;
        own.corners[i] = corner_of(w, pixel);
    }
    return own;
}

// With channels in whole vectors, a vector is of one neighbour, and copied at once.
DEVICE void copy_vectors(Stage &stage, const Copies &own, Window w, u32 depth) {
    bool there = depth < own.depths;
    Tap tap = tap_of(w, depth);
#pragma unroll
    for (u32 i = 0; i < PIXELS / ROWS; i++) {
        const bf16 *from = 0;
        if (there && own.pixels[i]) from = neighbour(own.x, w, own.corners[i], tap);
        bf16 *to = stage.pixels + (own.row + i * ROWS) * PITCH + own.column;
        copy_later(to, from ? from : own.x, from != 0);
    }
    there = there && own.output;
    bf16 *to = stage.weights + own.row * PITCH + own.column;
    copy_later(to, own.weights + (there ? depth : 0), there);
}

// Otherwise number by number.
DEVICE void copy_numbers(Stage &stage, const Copies &own, Window w, u32 depth) {
    const bf16 zero = Narrow<bf16>::from(0.0f);
#pragma unroll
    for (u32 j = 0; j < VECTOR; j++) {
        bool there = depth + j < own.depths;
        Tap tap = tap_of(w, depth + j);
#pragma unroll
        for (u32 i = 0; i < PIXELS / ROWS; i++) {
            const bf16 *from = 0;
            if (there && own.pixels[i]) from = neighbour(own.x, w, own.corners[i], tap);
            stage.pixels[(own.row + i * ROWS) * PITCH + own.column + j] = from ? *from : zero;
        }
        bf16 *to = stage.weights + own.row * PITCH + own.column + j;
        *to = there && own.output ? own.weights[depth + j] : zero;
    }
}

DEVICE void copy_stage(Stage &stage, const Copies &own, Window w, u32 depth) {
    if (w.channels % VECTOR == 0)
        copy_vectors(stage, own, w, depth + own.column);
    else
        copy_numbers(stage, own, w, depth + own.column);
    copies_end();
}

// A warp's 32 pixels by 32 outputs.
DEVICE void multiply_stage(float (*sums)[4][4], const Stage &stage, u32 pixel, u32 output) {
#pragma unroll
    for (u32 depth = 0; depth < DEPTH; depth += 16) {
        u32 left[2][4], right[2][4];
#pragma unroll
        for (u32 i = 0; i < 2; i++) {
            load_left(left[i], stage.pixels + (pixel + i * 16) * PITCH + depth, PITCH);
            load_right(right[i], stage.weights + (output + i * 16) * PITCH + depth, PITCH);
        }
#pragma unroll
        for (u32 i = 0; i < 2; i++)
#pragma unroll
            for (u32 n = 0; n < 4; n++) multiply(sums[i][n], left[i], right[n / 2] + n % 2 * 2);
    }
}

DEVICE void store_conv(float (*sums)[4][4], const float *bias, bf16 *out, Window w, u32 pixel,
                       u32 output) {
    u32 lane = threadIdx.x % 32, pixels = w.out_height * w.out_width;
#pragma unroll
    for (u32 i = 0; i < 2; i++)
#pragma unroll
        for (u32 n = 0; n < 4; n++)
#pragma unroll
            for (u32 j = 0; j < 4; j++) {
                u32 row = pixel + i * 16 + lane / 4 + j / 2 * 8;
                u32 column = output + n * 8 + lane % 4 * 2 + j % 2;
                if (row >= pixels || column >= w.outputs) continue;
                float sum = sums[i][n][j] + (bias ? bias[column] : 0.0f);
                out[(u64)row * w.outputs + column] = Narrow<bf16>::from(sum);
            }
}

#define PARAMETERS(T)                                                                              \
    const T *x, const T *weight, const float *bias, T *out, u32 height, u32 width, u32 channels,   \
        u32 out_height, u32 out_width, u32 outputs, u32 kernel, u32 stride, u32 left, u32 top
#define WINDOW                                                                                     \
    {                                                                                              \
        height, width, channels, out_height, out_width, outputs, kernel, stride, left, top         \
    }

extern "C" __global__ void __launch_bounds__(256) conv_bf16(PARAMETERS(bf16)) {
    __shared__ __align__(16) Stage stages[STAGES];
    Window w = WINDOW;
    Copies own = copies_of(x, weight, w);
    u32 steps = (own.depths + DEPTH - 1) / DEPTH;
    u32 warp = threadIdx.x / 32, pixel = warp / 2 * 32, output = warp % 2 * 32;
    float sums[2][4][4] = {};
    for (u32 step = 0; step < STAGES - 1; step++) copy_stage(stages[step], own, w, step * DEPTH);
    for (u32 step = 0; step < steps; step++) {
        copies_wait<STAGES - 2>();
        __syncthreads();
        u32 next = step + STAGES - 1;
        copy_stage(stages[next % STAGES], own, w, next * DEPTH);
        multiply_stage(sums, stages[step % STAGES], pixel, output);
    }
    copies_wait<0>();
    store_conv(sums, bias, out, w, blockIdx.x * PIXELS + pixel, blockIdx.y * OUTPUTS + output);
}

// A thread takes a pixel and half of the block's outputs.
extern "C" __global__ void __launch_bounds__(256) conv_f32(PARAMETERS(float)) {
    Window w = WINDOW;
    u32 depths = kernel * kernel * channels;
    u32 pixel = blockIdx.x * PIXELS + threadIdx.x % PIXELS;
    u32 output = blockIdx.y * OUTPUTS + threadIdx.x / PIXELS * (OUTPUTS / 2);
    if (pixel >= out_height * out_width) return;
    Corner corner = corner_of(w, pixel);
    float sums[OUTPUTS / 2] = {};
    for (u32 depth = 0; depth < depths; depth++) {
        const float *from = neighbour(x, w, corner, tap_of(w, depth));
        if (!from) continue;
#pragma unroll
        for (u32 n = 0; n < OUTPUTS / 2; n++)
            if (output + n < outputs) sums[n] += *from * weight[(u64)(output + n) * depths + depth];
    }
#pragma unroll
    for (u32 n = 0; n < OUTPUTS / 2; n++)
        if (output + n < outputs)
            out[(u64)pixel * outputs + output + n] = sums[n] + (bias ? bias[output + n] : 0.0f);
}

template <class T>
DEVICE void depthwise_conv(const T *x, const T *weight, const float *bias, T *out, Window w) {
    u64 at = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    u32 channel = (u32)(at % w.channels), pixel = (u32)(at / w.channels);
    if (pixel >= w.out_height * w.out_width) return;
    Corner corner = corner_of(w, pixel);
    float sum = bias ? bias[channel] : 0.0f;
    for (u32 tap = 0; tap < w.kernel * w.kernel; tap++) {
        u32 depth = tap * w.channels + channel;
        const T *from = neighbour(x, w, corner, tap_of(w, depth));
        if (from) sum += wide(*from) * wide(weight[depth]);
    }
    out[at] = Narrow<T>::from(sum);
}

KERNEL(depthwise_conv, 256, (x, weight, bias, out, WINDOW))
#undef PARAMETERS

template <class T>
DEVICE void upsample(const T *x, T *out, u32 height, u32 width, u32 channels) {
    u64 at = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    u32 channel = (u32)(at % channels), pixel = (u32)(at / channels);
    if (pixel >= 4 * height * width) return;
    u32 row = pixel / (2 * width) / 2, column = pixel % (2 * width) / 2;
    out[at] = x[((u64)row * width + column) * channels + channel];
}

#define PARAMETERS(T) const T *x, T *out, u32 height, u32 width, u32 channels
KERNEL(upsample, 256, (x, out, height, width, channels))
#undef PARAMETERS

// A place between two samples.
struct Between {
    u32 low, high;
    float share;
};

DEVICE Between between(u32 i, u32 to, u32 from) {
    float at = fmaxf((i + 0.5f) * ((float)from / to) - 0.5f, 0.0f);
    u32 low = min((u32)at, from - 1);
    return {low, min(low + 1, from - 1), at - low};
}

DEVICE float mixed(float low, float high, float share) {
    return low * (1.0f - share) + high * share;
}

template <class T>
DEVICE void resize(const T *x, T *out, u32 height, u32 width, u32 channels, u32 out_height,
                   u32 out_width) {
    u64 at = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    u32 channel = (u32)(at % channels), pixel = (u32)(at / channels);
    if (pixel >= out_height * out_width) return;
    Between rows = between(pixel / out_width, out_height, height);
    Between columns = between(pixel % out_width, out_width, width);
    const T *above = x + (u64)rows.low * width * channels + channel;
    const T *below = x + (u64)rows.high * width * channels + channel;
    u64 low = (u64)columns.low * channels, high = (u64)columns.high * channels;
    float upper = mixed(wide(above[low]), wide(above[high]), columns.share);
    float lower = mixed(wide(below[low]), wide(below[high]), columns.share);
    out[at] = Narrow<T>::from(mixed(upper, lower, rows.share));
}

#define PARAMETERS(T)                                                                              \
    const T *x, T *out, u32 height, u32 width, u32 channels, u32 out_height, u32 out_width
KERNEL(resize, 256, (x, out, height, width, channels, out_height, out_width))
#undef PARAMETERS

// A number of -1..1 as it is shown: what is outside is cut off, halves go to even. The larger of -1
// and what is no number is -1.
DEVICE u8 shown(float x) {
    float unit = fminf(fmaxf(x, -1.0f), 1.0f) / 2.0f + 0.5f;
    return (u8)(u32)rintf(unit * 255.0f);
}

template <class T> DEVICE void bytes(const T *x, u8 *out, u32 count) {
    u32 i = (blockIdx.x * blockDim.x + threadIdx.x) * VECTOR;
    if (i >= count) return;
    float value[VECTOR];
    load(x, i, count, value);
    u64 eight = 0;
    EACH_NUMBER eight |= (u64)shown(value[j]) << 8 * j;
    if (i + VECTOR <= count && ((u64)(out + i) & 7) == 0) {
        *(u64 *)(out + i) = eight;
        return;
    }
    EACH_NUMBER if (i + j < count) out[i + j] = (u8)(eight >> 8 * j);
}

#define PARAMETERS(T) const T *x, u8 *out, u32 count
KERNEL(bytes, 256, (x, out, count))
#undef PARAMETERS
