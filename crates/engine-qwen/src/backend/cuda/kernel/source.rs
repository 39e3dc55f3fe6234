//! The kernels' sources.

/// What is compiled by itself.
pub(in crate::backend::cuda) struct Source {
    /// As compilers call it.
    pub(in crate::backend::cuda) name: &'static str,
    /// One after the other.
    pub(in crate::backend::cuda) texts: &'static [&'static str],
    /// What is in it.
    pub(in crate::backend::cuda) kernels: &'static [&'static str],
}

const NUMBER: &str = include_str!("source/number.cuh");
const MATRIX: &str = include_str!("source/matrix.cuh");

/// Names for both types of storage.
macro_rules! both {
    ($($name:literal),* $(,)?) => {
        &[$(concat!($name, "_f32"), concat!($name, "_bf16")),*]
    };
}

/// All of them.
pub(in crate::backend::cuda) const SOURCES: [Source; 6] = [
    Source {
        name: "row.cu",
        texts: &[NUMBER, include_str!("source/row.cu")],
        kernels: both![
            "modulated_norm",
            "add_gated",
            "add_gated_norm",
            "rms_norm",
            "layer_norm",
            "channel_norm",
            "quantise",
        ],
    },
    Source {
        name: "element.cu",
        texts: &[NUMBER, include_str!("source/element.cu")],
        kernels: both![
            "add",
            "activate",
            "swiglu",
            "copy_f32",
            "copy_bf16",
            "finish"
        ],
    },
    Source {
        name: "head.cu",
        texts: &[NUMBER, include_str!("source/head.cu")],
        kernels: both!["heads"],
    },
    Source {
        name: "attention.cu",
        texts: &[NUMBER, MATRIX, include_str!("source/attention.cu")],
        kernels: &[
            "attend_64",
            "attend_80",
            "attend_128",
            "attend_384",
            "attend_f32",
            "attend_bf16",
        ],
    },
    Source {
        name: "picture.cu",
        texts: &[NUMBER, MATRIX, include_str!("source/picture.cu")],
        kernels: both!["conv", "depthwise_conv", "upsample", "resize", "bytes"],
    },
    Source {
        name: "product.cu",
        texts: &[NUMBER, include_str!("source/product.cu")],
        kernels: both!["multiply"],
    },
];
