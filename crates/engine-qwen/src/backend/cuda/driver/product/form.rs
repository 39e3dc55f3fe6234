//! What is multiplied, and what the library does besides.

use cudarc::cublaslt::sys::cublasLtEpilogue_t as Epilogue;
use serde::{Deserialize, Serialize};

use super::{
    super::super::{
        Command, Element, Kind, Operand, Scales,
        kernel::{Launch, finish, multiply},
    },
    choices::bucket,
};
use crate::backend::Activation;

/// What the library does besides the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Form {
    /// Scales, bias and activation.
    Whole,
    /// Scales and bias.
    Biased,
    /// Nothing.
    Bare,
    /// Not even the product, which is a kernel's.
    Own,
}

/// A product with everything that belongs to it.
pub(super) struct Product<'a> {
    pub(super) x: &'a Operand,
    pub(super) weight: &'a Operand,
    pub(super) y: &'a Operand,
    pub(super) bias: Option<Operand>,
    /// For each output.
    pub(super) outputs: Option<Operand>,
    /// For each row.
    pub(super) rows: Option<Operand>,
    activation: Activation,
}

impl<'a> Product<'a> {
    pub(super) fn of(command: &'a Command) -> Self {
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

    /// The library's forms that are right, the best first.
    pub(super) fn forms(&self) -> &'static [Form] {
        // The library promises nothing of its GELU, which 16 bits forgive and 32 do not.
        let is_coarse = self.activation != Activation::None && self.y.element == Element::F32;
        // It has a scale for both sides or for none.
        match self.outputs.is_some() == self.rows.is_some() {
            true if is_coarse => &[Form::Biased, Form::Bare],
            true => &[Form::Whole, Form::Biased, Form::Bare],
            false => &[Form::Bare],
        }
    }

    /// Whether it has to be done without the library where that has no algorithm: of FP8 it wants
    /// sizes of multiples of 16, and promises nothing of a row or two.
    pub(super) fn has_own(&self) -> bool {
        self.x.element == Element::F8
    }

    /// What is left to do, in order.
    pub(super) fn rest(&self, form: Form) -> Vec<Launch> {
        let (scales, bias) = match form {
            Form::Whole => return Vec::new(),
            Form::Biased => ([None, None], None),
            Form::Bare | Form::Own => ([self.rows, self.outputs], self.bias),
        };
        let own = (form == Form::Own).then(|| multiply(self.x, self.weight, self.y));
        let nothing = scales == [None, None] && bias.is_none();
        let needed = !nothing || self.activation != Activation::None;
        let finish = needed.then(|| finish(self.y, scales, bias, self.activation));
        own.into_iter().chain(finish).collect()
    }

    pub(super) fn epilogue(&self, form: Form) -> Option<Epilogue> {
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
            (Form::Whole | Form::Own, _) => None,
        }
    }

    /// What the addresses of weight, input and result are multiples of. What is added to the result
    /// is fetched as that is written.
    pub(super) fn alignments(&self) -> [u32; 3] {
        let bias = self.bias.map_or(WIDEST, |bias| alignment(bias.at));
        let [weight, x, y] = [self.weight, self.x, self.y].map(|operand| alignment(operand.at));
        [weight, x, y.min(bias)]
    }

    /// What an algorithm depends on: with its own rows, and with those that share one.
    pub(super) fn keys(&self) -> [String; 2] {
        let rows = self.x.rows;
        [
            self.key(&format!("{rows}")),
            self.key(&format!("up to {}", bucket(rows))),
        ]
    }

    fn key(&self, rows: &str) -> String {
        format!(
            "{rows}x{}x{} stride {} of {:?} to {:?} bias {} scales {} {} {:?} at {:?}",
            self.x.width,
            self.y.width,
            self.x.stride,
            self.x.element,
            self.y.element,
            self.bias.is_some(),
            self.outputs.is_some(),
            self.rows.is_some(),
            self.activation,
            self.alignments(),
        )
    }
}

/// More than that the library does not ask for; it is also what it takes for granted unless it is
/// told.
const WIDEST: u32 = 256;

fn alignment(at: u64) -> u32 {
    1 << at.trailing_zeros().min(WIDEST.trailing_zeros())
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
        assert_eq!(product.rest(Form::Whole), []);
        let bits = |form| {
            let rest = product.rest(form);
            let launch = rest.last().unwrap();
            let bits = launch.arguments.iter().map(|argument| argument.bits());
            bits.collect::<Vec<_>>()
        };
        // The result, scales of rows and of outputs, bias, activation, size.
        assert_eq!(bits(Form::Biased), [6, 0, 0, 0, 3, 7, 16]);
        assert_eq!(bits(Form::Bare), [6, 5, 4, 3, 3, 7, 16]);
        assert_eq!(bits(Form::Own), bits(Form::Bare));
        let [own, _] = &product.rest(Form::Own)[..] else {
            panic!("it is multiplied first");
        };
        assert_eq!(own.kernel, "multiply_bf16");
    }

    /// What was timed on wide loads is not used where they are not possible.
    #[test]
    fn an_algorithm_is_of_an_alignment() {
        let placed = |x: u64, bias: u64| {
            let mut command = command(Scales::None, Activation::None);
            for (operand, at) in command.reads.iter_mut().zip([x, 4096, bias]) {
                operand.at = at;
            }
            command.writes[0].at = 1 << 20;
            let product = Product::of(&command);
            (product.alignments(), product.keys())
        };
        let (alignments, key) = placed(4096, 512);
        assert_eq!(alignments, [256, 256, 256]);
        assert_eq!(placed(1 << 30, 1 << 30), (alignments, key.clone()));
        assert_eq!(placed(4096 + 48, 512).0, [256, 16, 256]);
        assert_ne!(placed(4096 + 48, 512).1, key);
        assert_eq!(placed(4096, 512 + 8).0, [256, 256, 8]);
    }

    #[test]
    fn rows_alone_may_differ_in_what_is_shared() {
        let keys = |rows, width| {
            let mut command = command(Scales::None, Activation::None);
            command.reads[0].rows = rows;
            command.reads[0].width = width;
            Product::of(&command).keys()
        };
        let [exact, shared] = keys(130, 32);
        assert_eq!(keys(190, 32)[1], shared);
        assert_ne!(keys(190, 32)[0], exact);
        for other in [keys(193, 32), keys(130, 64)] {
            assert_ne!(other[1], shared);
        }
    }

    /// The bias comes after the scale, so it is not the library's.
    #[test]
    fn a_scale_of_outputs_alone_is_a_kernels() {
        let command = command(Scales::Outputs, Activation::None);
        let product = Product::of(&command);
        assert_eq!(product.forms(), [Form::Bare]);
        assert_eq!(product.rest(Form::Bare).len(), 1);
    }

    #[test]
    fn epilogues_are_the_forms() {
        let gelu = command(Scales::None, Activation::GeluTanh);
        let gelu = Product::of(&gelu);
        let whole = gelu.epilogue(Form::Whole);
        assert_eq!(whole, Some(Epilogue::CUBLASLT_EPILOGUE_GELU_BIAS));
        let biased = gelu.epilogue(Form::Biased);
        assert_eq!(biased, Some(Epilogue::CUBLASLT_EPILOGUE_BIAS));
        let mut exact = command(Scales::None, Activation::GeluTanh);
        exact.writes[0].element = Element::F32;
        assert_eq!(Product::of(&exact).forms()[0], Form::Biased);
        let silu = command(Scales::None, Activation::Silu);
        assert_eq!(Product::of(&silu).epilogue(Form::Whole), None);
    }
}
