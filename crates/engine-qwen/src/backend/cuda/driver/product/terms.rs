//! A product as the library is told of it.
#![expect(unsafe_code, reason = "cuBLASLt is a C library")]

use std::mem::size_of_val;

use cudarc::cublaslt::{
    result,
    sys::{
        self, cublasLtMatmulDescAttributes_t as Attribute,
        cublasLtMatmulMatrixScale_t as ScaleMode, cublasLtMatmulPreferenceAttributes_t as Limit,
        cudaDataType_t as DataType,
    },
};

use super::{
    super::{
        super::{DeviceError, Element, Operand},
        error::Called as _,
    },
    form::{Form, Product},
};

/// `CUBLAS_OP_T`.
const TRANSPOSED: i32 = 1;

/// What an algorithm may take.
pub(super) struct Preference(pub(super) sys::cublasLtMatmulPreference_t);

impl Preference {
    /// So many bytes besides the operands; weight, input and result at multiples of these.
    pub(super) fn new(bytes: usize, [weight, x, y]: [u32; 3]) -> Result<Self, DeviceError> {
        let this = Self(result::create_matmul_pref().called("cublasLtMatmulPreferenceCreate")?);
        this.set(Limit::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes)?;
        this.set(Limit::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &weight)?;
        this.set(Limit::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &x)?;
        this.set(Limit::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &y)?;
        this.set(Limit::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &y)?;
        Ok(this)
    }

    fn set<T>(&self, limit: Limit, value: &T) -> Result<(), DeviceError> {
        // SAFETY: each attribute is set with its type above.
        unsafe {
            result::set_matmul_pref_attribute(
                self.0,
                limit,
                std::ptr::from_ref(value).cast(),
                size_of_val(value),
            )
        }
        .called("cublasLtMatmulPreferenceSetAttribute")
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: it is used no more.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}

/// A product in the library's terms.
pub(super) struct Terms {
    pub(super) operation: sys::cublasLtMatmulDesc_t,
    pub(super) weight: sys::cublasLtMatrixLayout_t,
    pub(super) x: sys::cublasLtMatrixLayout_t,
    pub(super) y: sys::cublasLtMatrixLayout_t,
}

impl Terms {
    /// `None` if the library has nothing of this form.
    pub(super) fn new(product: &Product<'_>, form: Form) -> Result<Option<Self>, DeviceError> {
        let Some(epilogue) = product.epilogue(form) else {
            return Ok(None);
        };
        let compute = sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let operation = result::create_matmul_desc(compute, DataType::CUDA_R_32F)
            .called("cublasLtMatmulDescCreate")?;
        let mut terms = Self {
            operation,
            weight: std::ptr::null_mut(),
            x: std::ptr::null_mut(),
            y: std::ptr::null_mut(),
        };
        terms.weight = layout(product.weight)?;
        terms.x = layout(product.x)?;
        terms.y = layout(product.y)?;
        terms.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &TRANSPOSED)?;
        terms.set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
        if form != Form::Bare {
            terms.set_bias(product)?;
        }
        if product.x.element == Element::F8 {
            // Sums in fewer digits, as the published FP8 kernels for this model's kind do.
            terms.set(Attribute::CUBLASLT_MATMUL_DESC_FAST_ACCUM, &1_i8)?;
            if form != Form::Bare {
                terms.set_scales(product)?;
            }
        }
        Ok(Some(terms))
    }

    fn set_bias(&self, product: &Product<'_>) -> Result<(), DeviceError> {
        let Some(bias) = product.bias else {
            return Ok(());
        };
        let kind = data_type(bias.element);
        self.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &kind)?;
        self.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias.at)
    }

    /// One for each row of either side.
    fn set_scales(&self, product: &Product<'_>) -> Result<(), DeviceError> {
        let (Some(outputs), Some(rows)) = (product.outputs, product.rows) else {
            return Ok(());
        };
        let mode = ScaleMode::CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
        self.set(Attribute::CUBLASLT_MATMUL_DESC_A_SCALE_MODE, &mode)?;
        self.set(Attribute::CUBLASLT_MATMUL_DESC_B_SCALE_MODE, &mode)?;
        self.set(Attribute::CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &outputs.at)?;
        self.set(Attribute::CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &rows.at)
    }

    fn set<T>(&self, attribute: Attribute, value: &T) -> Result<(), DeviceError> {
        // SAFETY: each attribute is set with its type above; addresses are 64 bits like pointers.
        unsafe {
            result::set_matmul_desc_attribute(
                self.operation,
                attribute,
                std::ptr::from_ref(value).cast(),
                size_of_val(value),
            )
        }
        .called("cublasLtMatmulDescSetAttribute")
    }
}

impl Drop for Terms {
    fn drop(&mut self) {
        // SAFETY: they are used no more, and what was not made is null, which is refused.
        unsafe {
            for layout in [self.weight, self.x, self.y] {
                if !layout.is_null() {
                    let _ = result::destroy_matrix_layout(layout);
                }
            }
            let _ = result::destroy_matmul_desc(self.operation);
        }
    }
}

/// Rows as columns.
fn layout(operand: &Operand) -> Result<sys::cublasLtMatrixLayout_t, DeviceError> {
    let (width, rows) = (operand.width as u64, operand.rows as u64);
    let kind = data_type(operand.element);
    result::create_matrix_layout(kind, width, rows, operand.stride as i64)
        .called("cublasLtMatrixLayoutCreate")
}

fn data_type(element: Element) -> DataType {
    match element {
        Element::F32 => DataType::CUDA_R_32F,
        Element::Bf16 => DataType::CUDA_R_16BF,
        Element::F8 => DataType::CUDA_R_8F_E4M3,
        Element::U32 | Element::U8 => panic!("BUG: {element:?} is not multiplied"),
    }
}
