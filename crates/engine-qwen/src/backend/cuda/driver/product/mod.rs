//! Matrix products by cuBLASLt.
//!
//! `y = x · Wᵀ` of rows is, in the columns that the library counts in, `Wᵀ` of `[outputs, inputs]`
//! times `x` of `[inputs, rows]`. What the library does besides the product depends on the types
//! and its version; [`Form`] says it, and a kernel does the rest. FP8 that it does not multiply at
//! all, as it may be with a row or two, a kernel does too.
#![expect(unsafe_code, reason = "cuBLASLt is a C library")]

mod choices;
mod form;
mod terms;

use std::{ffi::c_void, path::PathBuf, sync::Arc};

use cudarc::cublaslt::{result, sys};
use serde::{Deserialize, Serialize};

use self::{
    choices::Choices,
    form::{Form, Product},
    terms::{Preference, Terms},
};
use super::{
    super::{Command, DeviceError, kernel::Launch},
    context::{Context, Scratch},
    error::{Called as _, Code as _},
};

/// Bytes that an algorithm may use besides its operands.
const WORKSPACE: usize = 64 << 20;
/// Algorithms that are timed.
const CANDIDATES: usize = 8;
/// How often.
const TIMES: usize = 3;

/// An algorithm that was found to be the fastest.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Choice {
    form: Form,
    algorithm: [u64; 8],
}

impl Choice {
    /// A kernel.
    const OWN: Self = Self {
        form: Form::Own,
        algorithm: [0; 8],
    };
}

/// The library, and what was found out with it.
pub(super) struct Products {
    handle: sys::cublasLtHandle_t,
    workspace: Scratch,
    choices: Choices,
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
        Ok(Self {
            workspace: Scratch::new(context, WORKSPACE)?,
            // The last that can fail.
            handle: result::create_handle().called("cublasLtCreate")?,
            choices: Choices::open(file),
            context: Arc::clone(context),
        })
    }

    /// Multiplies. What is left to do is given back, in order.
    pub(super) fn multiply(&mut self, command: &Command) -> Result<Vec<Launch>, DeviceError> {
        let product = Product::of(command);
        let keys = product.keys();
        let possible = |choice: &Choice| self.is_possible(&product, choice);
        if let Some(choice) = self.choices.find(&keys, possible) {
            let done = self.carry_out(&product, &choice);
            // While something is captured nothing can be timed, so that is its end.
            if done.is_ok() || self.context.is_capturing()? {
                return done.map(|()| product.rest(choice.form));
            }
            // What was found possible may be refused all the same: another is looked for then.
            self.context.tried(done)?;
        }
        let choice = self.choose(&product)?;
        self.choices.insert(keys, choice);
        self.carry_out(&product, &choice)?;
        Ok(product.rest(choice.form))
    }

    /// The library's share of it.
    fn carry_out(&self, product: &Product<'_>, choice: &Choice) -> Result<(), DeviceError> {
        if choice.form == Form::Own {
            return Ok(());
        }
        let terms =
            Terms::new(product, choice.form)?.expect("BUG: a form that was chosen has an epilogue");
        self.run(product, &terms, choice)
    }

    /// Writes down what was found out, if there is anything new.
    pub(super) fn save(&mut self) {
        self.choices.save();
    }

    /// What comes from a file, or was timed with other rows, is asked about before it is used.
    fn is_possible(&self, product: &Product<'_>, choice: &Choice) -> bool {
        if choice.form == Form::Own {
            return product.has_own();
        }
        if !product.forms().contains(&choice.form) {
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
        status.result().is_ok() && found.workspaceSize <= WORKSPACE
    }

    /// The fastest algorithm of the best form that the library has any for. A kernel only where the
    /// library says that it has none: it is slow, and what goes wrong once need not go wrong again.
    fn choose(&self, product: &Product<'_>) -> Result<Choice, DeviceError> {
        let mut failed = None;
        for form in product.forms() {
            // An older library refuses to be told of what it does not have.
            let Some(Some(terms)) = self.context.tried(Terms::new(product, *form))? else {
                continue;
            };
            let candidates = self.candidates(product, &terms)?;
            match self.fastest(product, &terms, *form, &candidates) {
                Ok(choice) => return Ok(choice),
                Err(error) if is_unsupported(&error) => {}
                Err(error) if error.is_refusal() => failed = Some(error),
                Err(error) => return Err(error),
            }
        }
        match failed {
            Some(error) => Err(error),
            None if product.has_own() => Ok(Choice::OWN),
            None => Err(unsupported()),
        }
    }

    fn candidates(
        &self,
        product: &Product<'_>,
        terms: &Terms,
    ) -> Result<Vec<sys::cublasLtMatmulHeuristicResult_t>, DeviceError> {
        let preference = Preference::new(WORKSPACE, product.alignments())?;
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

    /// The fastest of those that run. If none does, what one of them said: that it is not supported
    /// if all did, or if there is none.
    fn fastest(
        &self,
        product: &Product<'_>,
        terms: &Terms,
        form: Form,
        candidates: &[sys::cublasLtMatmulHeuristicResult_t],
    ) -> Result<Choice, DeviceError> {
        let mut best: Option<(f64, Choice)> = None;
        let mut failed = unsupported();
        for candidate in candidates {
            let choice = Choice {
                form,
                algorithm: candidate.algo.data,
            };
            // One that does not run after all is left out.
            match self.context.examined(self.run(product, terms, &choice)) {
                Err(error) if error.is_refusal() => {
                    if is_unsupported(&failed) {
                        failed = error;
                    }
                    continue;
                }
                ran => ran?,
            }
            let time = self
                .context
                .time(|| (0..TIMES).try_for_each(|_| self.run(product, terms, &choice)))?;
            if best.is_none_or(|(fastest, _)| time < fastest) {
                best = Some((time, choice));
            }
        }
        best.map(|(_, choice)| choice).ok_or(failed)
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
                self.workspace.at() as *mut c_void,
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
    }
}

/// What the library says of what it does not have.
const UNSUPPORTED: sys::cublasStatus_t = sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED;

fn unsupported() -> DeviceError {
    result::CublasError(UNSUPPORTED).of("cublasLtMatmul")
}

/// Whether it says that, of an error of the library's.
fn is_unsupported(error: &DeviceError) -> bool {
    matches!(error, DeviceError::Failed { code, .. } if *code == UNSUPPORTED as i64)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_supported_is_a_kernels() {
        assert!(is_unsupported(&unsupported()) && unsupported().is_refusal());
        for status in [
            sys::cublasStatus_t::CUBLAS_STATUS_EXECUTION_FAILED,
            sys::cublasStatus_t::CUBLAS_STATUS_INTERNAL_ERROR,
            sys::cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED,
        ] {
            assert!(!is_unsupported(&result::CublasError(status).of("call")));
        }
    }
}
