//! Matrix products by cuBLASLt.
//!
//! `y = x · Wᵀ` of rows is, in the columns that the library counts in, `Wᵀ` of `[outputs, inputs]`
//! times `x` of `[inputs, rows]`. What the library does besides the product depends on the types
//! and its version; [`Form`] says it, and a kernel does the rest.
#![expect(unsafe_code, reason = "cuBLASLt is a C library")]

use std::{collections::BTreeMap, ffi::c_void, fs, mem::size_of_val, path::PathBuf, sync::Arc};

use cudarc::cublaslt::{
    result,
    sys::{
        self, cublasLtEpilogue_t as Epilogue, cublasLtMatmulDescAttributes_t as Attribute,
        cublasLtMatmulMatrixScale_t as ScaleMode, cudaDataType_t as DataType,
    },
};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        Command, DeviceError, Element, Kind, Operand, Scales,
        kernel::{Launch, finish},
    },
    context::Context,
    error::{Called as _, Code as _},
};
use crate::backend::Activation;

/// Bytes that an algorithm may use besides its operands.
const WORKSPACE: usize = 64 << 20;
/// `CUBLAS_OP_T`.
const TRANSPOSED: i32 = 1;
/// Algorithms that are timed.
const CANDIDATES: usize = 8;
/// How often.
const TIMES: usize = 3;

/// What the library does besides the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Form {
    /// Scales, bias and activation.
    Whole,
    /// Scales and bias.
    Biased,
    /// Nothing.
    Bare,
}

/// A product with everything that belongs to it.
struct Product<'a> {
    x: &'a Operand,
    weight: &'a Operand,
    y: &'a Operand,
    bias: Option<Operand>,
    /// For each output.
    outputs: Option<Operand>,
    /// For each row.
    rows: Option<Operand>,
    activation: Activation,
}

impl<'a> Product<'a> {
    fn of(command: &'a Command) -> Self {
        let Kind::Matmul {
            activation,
            bias,
            scales,
        } = command.kind
        else {
            panic!("BUG: not a product");
        };
        let [x, weight, rest @ ..] = &command.reads[..] else {
            panic!("BUG: a product reads two matrices");
        };
        let mut rest = rest.iter().copied();
        Self {
            x,
            weight,
            y: &command.writes[0],
            bias: bias.then(|| rest.next()).flatten(),
            outputs: (scales != Scales::None).then(|| rest.next()).flatten(),
            rows: (scales == Scales::Both).then(|| rest.next()).flatten(),
            activation,
        }
    }

    /// The forms that are right, the best first.
    fn forms(&self) -> &'static [Form] {
        // The library has a scale for both sides or for none.
        if self.outputs.is_some() == self.rows.is_some() {
            &[Form::Whole, Form::Biased, Form::Bare]
        } else {
            &[Form::Bare]
        }
    }

    /// What is left to do, if anything.
    fn rest(&self, form: Form) -> Option<Launch> {
        let (scales, bias) = match form {
            Form::Whole => return None,
            Form::Biased => ([None, None], None),
            Form::Bare => ([self.rows, self.outputs], self.bias),
        };
        let nothing = scales == [None, None] && bias.is_none();
        let needed = !nothing || self.activation != Activation::None;
        needed.then(|| finish(self.y, scales, bias, self.activation))
    }

    fn epilogue(&self, form: Form) -> Option<Epilogue> {
        let bias = self.bias.is_some();
        match (form, self.activation) {
            (Form::Bare, _) => Some(Epilogue::CUBLASLT_EPILOGUE_DEFAULT),
            (Form::Whole, Activation::GeluTanh) if bias => {
                Some(Epilogue::CUBLASLT_EPILOGUE_GELU_BIAS)
            }
            (Form::Whole, Activation::GeluTanh) => Some(Epilogue::CUBLASLT_EPILOGUE_GELU),
            (Form::Whole, Activation::None) | (Form::Biased, _) if bias => {
                Some(Epilogue::CUBLASLT_EPILOGUE_BIAS)
            }
            (Form::Whole, Activation::None) | (Form::Biased, _) => {
                Some(Epilogue::CUBLASLT_EPILOGUE_DEFAULT)
            }
            // Others the library does not have.
            (Form::Whole, _) => None,
        }
    }

    /// What an algorithm depends on.
    fn key(&self) -> String {
        format!(
            "{}x{}x{} stride {} of {:?} to {:?} bias {} scales {} {} {:?}",
            self.x.rows,
            self.x.width,
            self.y.width,
            self.x.stride,
            self.x.element,
            self.y.element,
            self.bias.is_some(),
            self.outputs.is_some(),
            self.rows.is_some(),
            self.activation,
        )
    }
}

/// An algorithm that was found to be the fastest.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Choice {
    form: Form,
    algorithm: [u64; 8],
    workspace: usize,
}

/// The library, and what was found out with it.
pub(super) struct Products {
    handle: sys::cublasLtHandle_t,
    workspace: u64,
    choices: BTreeMap<String, Choice>,
    file: Option<PathBuf>,
    context: Arc<Context>,
}

// SAFETY: a handle may be used by any thread, and is used by one at a time here.
unsafe impl Send for Products {}

impl Products {
    pub(super) fn open(
        context: &Arc<Context>,
        cache: Option<PathBuf>,
    ) -> Result<Self, DeviceError> {
        // SAFETY: it reads a number of the library.
        let version = unsafe { sys::cublasLtGetVersion() };
        let name = context
            .listed
            .name
            .replace(|c: char| !c.is_alphanumeric(), "-");
        let file = cache.map(|cache| cache.join(format!("products-{name}-{version}.json")));
        let known = file.as_ref().and_then(|file| fs::read(file).ok());
        let choices = known.and_then(|known| serde_json::from_slice(&known).ok());
        Ok(Self {
            workspace: context.allocate(WORKSPACE)?,
            handle: result::create_handle().called("cublasLtCreate")?,
            choices: choices.unwrap_or_default(),
            file,
            context: Arc::clone(context),
        })
    }

    /// Multiplies. What is left to do is given back.
    pub(super) fn multiply(&mut self, command: &Command) -> Result<Option<Launch>, DeviceError> {
        let product = Product::of(command);
        let key = product.key();
        let choice = match self.choices.get(&key) {
            Some(choice) if self.is_possible(&product, choice) => *choice,
            _ => {
                let choice = self.choose(&product)?;
                self.choices.insert(key, choice);
                self.save();
                choice
            }
        };
        let terms = Terms::new(&product, choice.form)?
            .expect("BUG: a form that was chosen has an epilogue");
        self.run(&product, &terms, &choice)?;
        Ok(product.rest(choice.form))
    }

    /// Without a cache that can be written to, each process times for itself.
    fn save(&self) {
        let Some(file) = &self.file else { return };
        let part = file.with_extension(format!("part{}", std::process::id()));
        let text = serde_json::to_vec(&self.choices).expect("BUG: choices can be written");
        let folder = file.parent().map_or(Ok(()), fs::create_dir_all);
        let written = folder.and_then(|()| fs::write(&part, text));
        let _ = written.and_then(|()| fs::rename(&part, file));
    }

    /// What comes from a file is asked about before it is used.
    fn is_possible(&self, product: &Product<'_>, choice: &Choice) -> bool {
        if choice.workspace > WORKSPACE || !product.forms().contains(&choice.form) {
            return false;
        }
        let Ok(Some(terms)) = Terms::new(product, choice.form) else {
            return false;
        };
        let algorithm = sys::cublasLtMatmulAlgo_t {
            data: choice.algorithm,
        };
        let mut found = nothing_found();
        // SAFETY: handle and descriptors live.
        let status = unsafe {
            sys::cublasLtMatmulAlgoCheck(
                self.handle,
                terms.operation,
                terms.weight,
                terms.x,
                terms.y,
                terms.y,
                &raw const algorithm,
                &raw mut found,
            )
        };
        status.result().is_ok() && found.workspaceSize <= choice.workspace
    }

    /// The fastest algorithm of the best form that the library has any for.
    fn choose(&self, product: &Product<'_>) -> Result<Choice, DeviceError> {
        for form in product.forms() {
            // An older library refuses to be told of what it does not have.
            let Ok(Some(terms)) = Terms::new(product, *form) else {
                continue;
            };
            let candidates = self.candidates(&terms)?;
            if let Some(choice) = self.fastest(product, &terms, *form, &candidates)? {
                return Ok(choice);
            }
        }
        let unsupported = sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED;
        Err(result::CublasError(unsupported).of("cublasLtMatmulAlgoGetHeuristic"))
    }

    fn candidates(
        &self,
        terms: &Terms,
    ) -> Result<Vec<sys::cublasLtMatmulHeuristicResult_t>, DeviceError> {
        let preference = Preference::new()?;
        let mut found = vec![nothing_found(); CANDIDATES];
        let mut count = 0;
        // SAFETY: handle and descriptors live; as many results are written as there is room for.
        let status = unsafe {
            sys::cublasLtMatmulAlgoGetHeuristic(
                self.handle,
                terms.operation,
                terms.weight,
                terms.x,
                terms.y,
                terms.y,
                preference.0,
                CANDIDATES as i32,
                found.as_mut_ptr(),
                &raw mut count,
            )
        };
        match status {
            sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS => found.truncate(count.max(0) as usize),
            sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED
            | sys::cublasStatus_t::CUBLAS_STATUS_INVALID_VALUE => found.clear(),
            other => return Err(result::CublasError(other).of("cublasLtMatmulAlgoGetHeuristic")),
        }
        Ok(found)
    }

    fn fastest(
        &self,
        product: &Product<'_>,
        terms: &Terms,
        form: Form,
        candidates: &[sys::cublasLtMatmulHeuristicResult_t],
    ) -> Result<Option<Choice>, DeviceError> {
        let mut best: Option<(f64, Choice)> = None;
        for candidate in candidates {
            let choice = Choice {
                form,
                algorithm: candidate.algo.data,
                workspace: candidate.workspaceSize,
            };
            // One that does not run after all is left out, and so is one that is lost on a device
            // that is lost: the next call says so.
            if self.run(product, terms, &choice).is_err() {
                continue;
            }
            let time = self
                .context
                .time(|| (0..TIMES).try_for_each(|_| self.run(product, terms, &choice)))?;
            if best.is_none_or(|(fastest, _)| time < fastest) {
                best = Some((time, choice));
            }
        }
        Ok(best.map(|(_, choice)| choice))
    }

    fn run(
        &self,
        product: &Product<'_>,
        terms: &Terms,
        choice: &Choice,
    ) -> Result<(), DeviceError> {
        let algorithm = sys::cublasLtMatmulAlgo_t {
            data: choice.algorithm,
        };
        let (one, zero) = (1.0_f32, 0.0_f32);
        // SAFETY: operands are a plan's, of the layouts' sizes; the rest lives as long as this.
        let multiplied = unsafe {
            result::matmul(
                self.handle,
                terms.operation,
                (&raw const one).cast(),
                (&raw const zero).cast(),
                product.weight.at as *const c_void,
                terms.weight,
                product.x.at as *const c_void,
                terms.x,
                product.y.at as *const c_void,
                terms.y,
                product.y.at as *mut c_void,
                terms.y,
                &raw const algorithm,
                self.workspace as *mut c_void,
                WORKSPACE,
                self.context.stream.cast(),
            )
        };
        multiplied.called("cublasLtMatmul")
    }
}

impl Drop for Products {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: nothing uses it any more.
            let _ = unsafe { result::destroy_handle(self.handle) };
        }
        self.context.free(self.workspace);
    }
}

fn nothing_found() -> sys::cublasLtMatmulHeuristicResult_t {
    sys::cublasLtMatmulHeuristicResult_t {
        algo: sys::cublasLtMatmulAlgo_t { data: [0; 8] },
        workspaceSize: 0,
        state: sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS,
        wavesCount: 0.0,
        reserved: [0; 4],
    }
}

struct Preference(sys::cublasLtMatmulPreference_t);

impl Preference {
    fn new() -> Result<Self, DeviceError> {
        let this = Self(result::create_matmul_pref().called("cublasLtMatmulPreferenceCreate")?);
        let attribute =
            sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        let bytes = WORKSPACE;
        // SAFETY: the attribute is of this type.
        unsafe {
            result::set_matmul_pref_attribute(
                this.0,
                attribute,
                (&raw const bytes).cast(),
                size_of_val(&bytes),
            )
        }
        .called("cublasLtMatmulPreferenceSetAttribute")?;
        Ok(this)
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: it is used no more.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}

/// A product in the library's terms.
struct Terms {
    operation: sys::cublasLtMatmulDesc_t,
    weight: sys::cublasLtMatrixLayout_t,
    x: sys::cublasLtMatrixLayout_t,
    y: sys::cublasLtMatrixLayout_t,
}

impl Terms {
    /// `None` if the library has nothing of this form.
    fn new(product: &Product<'_>, form: Form) -> Result<Option<Self>, DeviceError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn operand(at: u64, element: Element, rows: usize, width: usize) -> Operand {
        Operand {
            at,
            element,
            rows,
            width,
            stride: width,
        }
    }

    fn command(scales: Scales, activation: Activation) -> Command {
        let matrix = match scales {
            Scales::Both => Element::F8,
            _ => Element::Bf16,
        };
        let mut reads = vec![
            operand(1, matrix, 7, 32),
            operand(2, matrix, 16, 32),
            operand(3, Element::Bf16, 1, 16),
        ];
        if scales != Scales::None {
            reads.push(operand(4, Element::F32, 1, 16));
        }
        if scales == Scales::Both {
            reads.push(operand(5, Element::F32, 7, 1));
        }
        Command {
            kind: Kind::Matmul {
                activation,
                bias: true,
                scales,
            },
            reads,
            writes: vec![operand(6, Element::Bf16, 7, 16)],
        }
    }

    #[test]
    fn what_the_library_does_not_do_a_kernel_does() {
        let command = command(Scales::Both, Activation::GeluTanh);
        let product = Product::of(&command);
        assert_eq!(product.forms()[0], Form::Whole);
        assert_eq!(product.rest(Form::Whole), None);
        let bits = |form| {
            let launch = product.rest(form).unwrap();
            let bits = launch.arguments.iter().map(|argument| argument.bits());
            bits.collect::<Vec<_>>()
        };
        // The result, scales of rows and of outputs, bias, activation, size.
        assert_eq!(bits(Form::Biased), [6, 0, 0, 0, 3, 7, 16]);
        assert_eq!(bits(Form::Bare), [6, 5, 4, 3, 3, 7, 16]);
    }

    /// The bias comes after the scale, so it is not the library's.
    #[test]
    fn a_scale_of_outputs_alone_is_a_kernels() {
        let command = command(Scales::Outputs, Activation::None);
        let product = Product::of(&command);
        assert_eq!(product.forms(), [Form::Bare]);
        assert!(product.rest(Form::Bare).is_some());
    }

    #[test]
    fn epilogues_are_the_forms() {
        let gelu = command(Scales::None, Activation::GeluTanh);
        let gelu = Product::of(&gelu);
        let whole = gelu.epilogue(Form::Whole);
        assert_eq!(whole, Some(Epilogue::CUBLASLT_EPILOGUE_GELU_BIAS));
        let biased = gelu.epilogue(Form::Biased);
        assert_eq!(biased, Some(Epilogue::CUBLASLT_EPILOGUE_BIAS));
        let silu = command(Scales::None, Activation::Silu);
        assert_eq!(Product::of(&silu).epilogue(Form::Whole), None);
    }

    #[test]
    fn choices_are_read_as_they_were_written() {
        let choice = Choice {
            form: Form::Biased,
            algorithm: [u64::MAX, 1, 2, 3, 4, 5, 6, 7],
            workspace: 12,
        };
        let choices = BTreeMap::from([("a".to_owned(), choice)]);
        let text = serde_json::to_vec(&choices).unwrap();
        let read: BTreeMap<String, Choice> = serde_json::from_slice(&text).unwrap();
        let read = read["a"];
        assert_eq!(read.algorithm, choice.algorithm);
        assert_eq!((read.form, read.workspace), (Form::Biased, 12));
    }
}
