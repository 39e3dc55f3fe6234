// Heads of queries, keys and values: normed, turned, and put where they belong.

template <class T> struct Part {
    const T *x;
    u32 stride;
    const float *weight;
    u32 turned, heads;
    T *out;
    u32 out_stride;
};

template <class T> struct Head {
    const T *x;
    T *out;
    const float *weight;
    u32 row;
    bool turned, active;
};

// The head that a team of lanes takes.
template <class T>
DEVICE Head<T> head_of(Part<T> q, Part<T> k, Part<T> v, u32 rows, u32 width, u32 team) {
    u32 heads = q.heads + k.heads + v.heads;
    u64 item = ((u64)blockIdx.x * blockDim.x + threadIdx.x) / team;
    Head<T> head;
    head.active = item < (u64)rows * heads;
    if (!head.active) item = 0;
    head.row = (u32)(item / heads);
    u32 of = (u32)(item % heads);
    Part<T> part = q;
    if (of >= q.heads + k.heads) {
        part = v;
        of -= q.heads + k.heads;
    } else if (of >= q.heads) {
        part = k;
        of -= q.heads;
    }
    head.x = part.x + (u64)head.row * part.stride + of * width;
    head.out = part.out + (u64)head.row * part.out_stride + of * width;
    head.weight = part.weight;
    head.turned = part.turned;
    return head;
}

DEVICE float factor_of(float squares, u32 team, u32 width, float eps) {
    for (u32 lanes = team / 2; lanes; lanes /= 2)
        squares += __shfl_xor_sync(0xffffffff, squares, lanes);
    return 1.0f / sqrtf(squares / width + eps);
}

// Eight neighbours a lane: four pairs.
template <class T>
DEVICE void vector_head(Head<T> head, const float *cos, const float *sin, u32 width, float eps,
                        u32 team) {
    u32 i = threadIdx.x % team * VECTOR;
    bool active = head.active && i < width;
    float value[VECTOR] = {};
    if (active) load8(head.x + i, value);
    float squares = 0.0f;
#pragma unroll
    for (int j = 0; j < VECTOR; j++) squares += value[j] * value[j];
    float factor = factor_of(squares, team, width, eps);
    if (!active) return;
#pragma unroll
    for (int j = 0; j < VECTOR; j++)
        if (head.weight) value[j] = value[j] * factor * head.weight[i + j];
    if (head.turned) {
        u64 angle = (u64)head.row * (width / 2) + i / 2;
#pragma unroll
        for (int j = 0; j < VECTOR / 2; j++) {
            float x = value[2 * j], y = value[2 * j + 1];
            float c = cos[angle + j], s = sin[angle + j];
            value[2 * j] = x * c - y * s;
            value[2 * j + 1] = y * c + x * s;
        }
    }
    store8(head.out + i, value);
}

// A pair a lane, up to four times.
template <class T>
DEVICE void pair_head(Head<T> head, const float *cos, const float *sin, u32 halves, u32 width,
                      float eps) {
    u32 half = width / 2, lane = threadIdx.x % 32;
    float first[4], second[4], squares = 0.0f;
#pragma unroll
    for (u32 k = 0, pair = lane; k < 4; k++, pair += 32) {
        if (pair >= half) continue;
        first[k] = wide(head.x[halves ? pair : 2 * pair]);
        second[k] = wide(head.x[halves ? pair + half : 2 * pair + 1]);
        squares += first[k] * first[k] + second[k] * second[k];
    }
    float factor = factor_of(squares, 32, width, eps);
    if (!head.active) return;
#pragma unroll
    for (u32 k = 0, pair = lane; k < 4; k++, pair += 32) {
        if (pair >= half) continue;
        u32 low = halves ? pair : 2 * pair, high = halves ? pair + half : 2 * pair + 1;
        float x = first[k], y = second[k];
        if (head.weight) {
            x = x * factor * head.weight[low];
            y = y * factor * head.weight[high];
        }
        if (head.turned) {
            u64 angle = (u64)head.row * half + pair;
            float c = cos[angle], s = sin[angle], turned = x * c - y * s;
            y = y * c + x * s;
            x = turned;
        }
        head.out[low] = Narrow<T>::from(x);
        head.out[high] = Narrow<T>::from(y);
    }
}

template <class T>
DEVICE void heads(Part<T> q, Part<T> k, Part<T> v, const float *cos, const float *sin, u32 halves,
                  u32 rows, u32 width, float eps, u32 team, u32 vectors) {
    Head<T> head = head_of(q, k, v, rows, width, team);
    if (vectors)
        vector_head(head, cos, sin, width, eps, team);
    else
        pair_head(head, cos, sin, halves, width, eps);
}

#define PARAMETERS(T)                                                                              \
    const T *q, u32 q_stride, const float *q_weight, u32 q_turned, u32 q_heads, T *q_out,          \
        u32 q_out_stride, const T *k, u32 k_stride, const float *k_weight, u32 k_turned,           \
        u32 k_heads, T *k_out, u32 k_out_stride, const T *v, u32 v_stride, const float *v_weight,  \
        u32 v_turned, u32 v_heads, T *v_out, u32 v_out_stride, const float *cos,                   \
        const float *sin, u32 halves, u32 rows, u32 width, float eps, u32 team, u32 vectors
KERNEL(heads, 128,
       ({q, q_stride, q_weight, q_turned, q_heads, q_out, q_out_stride},
        {k, k_stride, k_weight, k_turned, k_heads, k_out, k_out_stride},
        {v, v_stride, v_weight, v_turned, v_heads, v_out, v_out_stride}, cos, sin, halves, rows,
        width, eps, team, vectors))
#undef PARAMETERS
