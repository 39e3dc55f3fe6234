// Numbers: how they are stored, loaded, rounded and added up. Stands before every other source.
//
// There is nothing to include where these are compiled: no header of the toolkit is used.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

// The upper half of a float.
struct bf16 {
    u16 bits;
};

#define DEVICE static __device__ __forceinline__

// Numbers that a lane loads at a time.
#define VECTOR 8
#define EACH_NUMBER _Pragma("unroll") for (u32 j = 0; j < VECTOR; j++)

// Shared memory whose size the launch says.
#ifndef EMULATED
#define EXTERN_SHARED(type, name)                                                                  \
    extern __shared__ __align__(16) u8 dynamic_memory[];                                           \
    type *name = (type *)dynamic_memory
#endif

// A kernel for both types of storage. PARAMETERS(T) is what it is given.
#define KERNEL(name, threads, arguments)                                                           \
    extern "C" __global__ void __launch_bounds__(threads) name##_f32(PARAMETERS(float)) {          \
        name<float> arguments;                                                                     \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(threads) name##_bf16(PARAMETERS(bf16)) {          \
        name<bf16> arguments;                                                                      \
    }

DEVICE float wide(float x) {
    return x;
}

DEVICE float wide(bf16 x) {
    return __uint_as_float((u32)x.bits << 16);
}

// To the nearest, ties to even.
DEVICE u16 bf16_bits(float x) {
    u32 bits = __float_as_uint(x);
    if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fff;
    return (u16)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Two numbers side by side, the first in the lower half.
DEVICE u32 bf16_pair(float first, float second) {
#ifdef EMULATED
    return (u32)bf16_bits(first) | (u32)bf16_bits(second) << 16;
#else
    u32 pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
#endif
}

template <class T> struct Narrow;

template <> struct Narrow<float> {
    DEVICE float from(float x) { return x; }
};

template <> struct Narrow<bf16> {
    DEVICE bf16 from(float x) {
        bf16 narrow;
        narrow.bits = bf16_bits(x);
        return narrow;
    }
};

// As it would be stored.
template <class T> DEVICE float stored(float x) {
    return wide(Narrow<T>::from(x));
}

// The nearest number of E4M3, ties to even, no larger than 448.
DEVICE u8 e4m3(float x) {
    u32 bits = __float_as_uint(x);
    u32 sign = bits >> 24 & 0x80, size = bits & 0x7fffffff;
    if (size > 0x7f800000) return (u8)(sign | 0x7f);
    if (size >= 0x43e00000) return (u8)(sign | 0x7e);
    // Below 2^-6 in steps of 2^-9: adding 2^14 leaves no finer digits than those.
    if (size < 0x3c800000) {
        float steps = __uint_as_float(size) + 16384.0f;
        return (u8)(sign | (__float_as_uint(steps) - 0x46800000));
    }
    u32 rounded = size + 0x7ffff + (size >> 20 & 1);
    return (u8)(sign | ((rounded >> 20) - (120 << 3)));
}

template <class T> DEVICE bool aligned(const T *at) {
    return ((u64)at & 15) == 0;
}

DEVICE void load8(const float *at, float *to) {
    float4 low = *(const float4 *)at, high = *(const float4 *)(at + 4);
    to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
    to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

DEVICE void load8(const bf16 *at, float *to) {
    uint4 all = *(const uint4 *)at;
    u32 pairs[4] = {all.x, all.y, all.z, all.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        to[2 * i] = __uint_as_float(pairs[i] << 16);
        to[2 * i + 1] = __uint_as_float(pairs[i] & 0xffff0000);
    }
}

DEVICE void store8(float *at, const float *from) {
    *(float4 *)at = make_float4(from[0], from[1], from[2], from[3]);
    *(float4 *)(at + 4) = make_float4(from[4], from[5], from[6], from[7]);
}

DEVICE void store8(bf16 *at, const float *from) {
    *(uint4 *)at = make_uint4(bf16_pair(from[0], from[1]), bf16_pair(from[2], from[3]),
                              bf16_pair(from[4], from[5]), bf16_pair(from[6], from[7]));
}

// Eight numbers of a row from the i-th on, 0 beyond its end; at once if the row allows it.
template <class T> DEVICE void load(const T *row, u32 i, u32 width, float *to) {
    if (i + VECTOR <= width && aligned(row + i)) {
        load8(row + i, to);
        return;
    }
#pragma unroll
    for (u32 j = 0; j < VECTOR; j++) to[j] = i + j < width ? wide(row[i + j]) : 0.0f;
}

template <class T> DEVICE void store(T *row, u32 i, u32 width, const float *from) {
    if (i + VECTOR <= width && aligned(row + i)) {
        store8(row + i, from);
        return;
    }
#pragma unroll
    for (u32 j = 0; j < VECTOR; j++)
        if (i + j < width) row[i + j] = Narrow<T>::from(from[j]);
}

// 2^x.
DEVICE float power_of_two(float x) {
#ifdef EMULATED
    return exp2f(x);
#else
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

DEVICE float activated(float x, u32 activation) {
    switch (activation) {
    case 1:
        return x / (1.0f + expf(-x));
    case 2:
        return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    case 3:
        return x / (1.0f + expf(-1.595769f * (x + 0.044715f * x * x * x)));
    case 4:
        return fmaxf(x, 0.0f);
    default:
        return x;
    }
}
