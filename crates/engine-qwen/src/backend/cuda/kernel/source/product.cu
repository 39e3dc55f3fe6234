// Products of FP8 that no library multiplies: a warp for each number of the result.

DEVICE float from_e4m3(u8 x) {
    u32 sign = (u32)(x & 0x80) << 24, size = x & 0x7f;
    if (size == 0x7f) return __uint_as_float(0x7fffffff);
    // Below 2^-6 in steps of 2^-9.
    float value = size < 8 ? size * 0.001953125f : __uint_as_float((size << 20) + (120 << 23));
    return __uint_as_float(__float_as_uint(value) | sign);
}

template <class T>
DEVICE void multiply(const u8 *x, u32 x_stride, const u8 *weight, T *y, u32 inputs, u32 outputs) {
    u32 row = blockIdx.y, output = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    // A warp leaves as a whole.
    if (output >= outputs) return;
    x += (u64)row * x_stride;
    weight += (u64)output * inputs;
    float sum = 0.0f;
    for (u32 i = threadIdx.x % 32; i < inputs; i += 32)
        sum += from_e4m3(x[i]) * from_e4m3(weight[i]);
    for (u32 lanes = 16; lanes; lanes /= 2) sum += __shfl_xor_sync(0xffffffff, sum, lanes);
    if (threadIdx.x % 32 == 0) y[(u64)row * outputs + output] = Narrow<T>::from(sum);
}

#define PARAMETERS(T)                                                                              \
    const u8 *x, u32 x_stride, const u8 *weight, T *y, u32 inputs, u32 outputs
KERNEL(multiply, 256, (x, x_stride, weight, y, inputs, outputs))
#undef PARAMETERS
