//! The operations of an attention.

use cudarc::cudnn::sys::{
    cudnnBackendAttributeName_t as Name, cudnnBackendAttributeType_t as Type,
    cudnnBackendDescriptorType_t as What, cudnnDataType_t as DataType,
    cudnnPointwiseMode_t as Pointwise, cudnnReduceTensorOp_t as Reduction,
};

use super::{super::super::DeviceError, Shape, descriptor::Descriptor};

/// Tensors that are given when a plan is executed.
#[derive(Clone, Copy)]
pub(super) enum Given {
    Queries = 1,
    Keys,
    Values,
    Result,
    Scale,
}

/// A tensor: one picture's heads, by rows and columns.
struct Tensor {
    id: i64,
    size: [i64; 4],
    strides: [i64; 4],
    kind: DataType,
    /// Within the graph alone.
    inner: bool,
    /// A number that is passed as it is.
    number: bool,
}

impl Tensor {
    fn given(id: Given, size: [usize; 4], strides: [usize; 4]) -> Self {
        Self {
            id: id as i64,
            size: size.map(|number| number as i64),
            strides: strides.map(|number| number as i64),
            kind: DataType::CUDNN_DATA_BFLOAT16,
            inner: false,
            number: false,
        }
    }

    /// Of all heads, queries and so many keys, dense.
    fn inner(id: i64, shape: &Shape, keys: usize, kind: DataType) -> Self {
        let [heads, queries, keys] = [shape.heads, shape.queries, keys].map(|n| n as i64);
        Self {
            id,
            size: [1, heads, queries, keys],
            strides: [heads * queries * keys, queries * keys, keys, 1],
            kind,
            inner: true,
            number: false,
        }
    }

    fn number(id: Given) -> Self {
        Self {
            kind: DataType::CUDNN_DATA_FLOAT,
            number: true,
            ..Self::given(id, [1; 4], [1; 4])
        }
    }

    fn described(&self) -> Result<Descriptor, DeviceError> {
        Descriptor::new(What::CUDNN_BACKEND_TENSOR_DESCRIPTOR)?
            .with(
                Name::CUDNN_ATTR_TENSOR_DATA_TYPE,
                Type::CUDNN_TYPE_DATA_TYPE,
                &[self.kind],
            )?
            .with(
                Name::CUDNN_ATTR_TENSOR_DIMENSIONS,
                Type::CUDNN_TYPE_INT64,
                &self.size,
            )?
            .with(
                Name::CUDNN_ATTR_TENSOR_STRIDES,
                Type::CUDNN_TYPE_INT64,
                &self.strides,
            )?
            .with(
                Name::CUDNN_ATTR_TENSOR_UNIQUE_ID,
                Type::CUDNN_TYPE_INT64,
                &[self.id],
            )?
            .with(
                Name::CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT,
                Type::CUDNN_TYPE_INT64,
                &[16_i64],
            )?
            .with(
                Name::CUDNN_ATTR_TENSOR_IS_VIRTUAL,
                Type::CUDNN_TYPE_BOOLEAN,
                &[self.inner],
            )?
            .with(
                Name::CUDNN_ATTR_TENSOR_IS_BY_VALUE,
                Type::CUDNN_TYPE_BOOLEAN,
                &[self.number],
            )?
            .finalised()
    }
}

/// Everything that was told of a graph: it has to live as long as what is made of it.
#[derive(Default)]
pub(super) struct Graph {
    // Made of what is kept, and so dropped before it.
    pub(super) operations: Vec<Descriptor>,
    kept: Vec<Descriptor>,
}

impl Graph {
    /// Keeps a tensor; the number is its place.
    fn tensor(&mut self, tensor: &Tensor) -> Result<usize, DeviceError> {
        self.kept.push(tensor.described()?);
        Ok(self.kept.len() - 1)
    }

    fn product(&mut self, [a, b, c]: [usize; 3]) -> Result<(), DeviceError> {
        let how = Descriptor::new(What::CUDNN_BACKEND_MATMUL_DESCRIPTOR)?
            .with(
                Name::CUDNN_ATTR_MATMUL_COMP_TYPE,
                Type::CUDNN_TYPE_DATA_TYPE,
                &[DataType::CUDNN_DATA_FLOAT],
            )?
            .finalised()?;
        let operation = Descriptor::new(What::CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR)?
            .with_descriptor(Name::CUDNN_ATTR_OPERATION_MATMUL_ADESC, &self.kept[a])?
            .with_descriptor(Name::CUDNN_ATTR_OPERATION_MATMUL_BDESC, &self.kept[b])?
            .with_descriptor(Name::CUDNN_ATTR_OPERATION_MATMUL_CDESC, &self.kept[c])?
            .with_descriptor(Name::CUDNN_ATTR_OPERATION_MATMUL_DESC, &how)?;
        self.operation(how, operation)
    }

    /// `y = mode(x, b)`, or of `x` alone.
    fn pointwise(
        &mut self,
        mode: Pointwise,
        x: usize,
        b: Option<usize>,
        y: usize,
    ) -> Result<(), DeviceError> {
        let how = Descriptor::new(What::CUDNN_BACKEND_POINTWISE_DESCRIPTOR)?
            .with(
                Name::CUDNN_ATTR_POINTWISE_MODE,
                Type::CUDNN_TYPE_POINTWISE_MODE,
                &[mode],
            )?
            .with(
                Name::CUDNN_ATTR_POINTWISE_MATH_PREC,
                Type::CUDNN_TYPE_DATA_TYPE,
                &[DataType::CUDNN_DATA_FLOAT],
            )?
            .finalised()?;
        let mut operation = Descriptor::new(What::CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)?
            .with_descriptor(Name::CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, &how)?
            .with_descriptor(Name::CUDNN_ATTR_OPERATION_POINTWISE_XDESC, &self.kept[x])?
            .with_descriptor(Name::CUDNN_ATTR_OPERATION_POINTWISE_YDESC, &self.kept[y])?;
        if let Some(b) = b {
            let name = Name::CUDNN_ATTR_OPERATION_POINTWISE_BDESC;
            operation = operation.with_descriptor(name, &self.kept[b])?;
        }
        self.operation(how, operation)
    }

    fn reduction(&mut self, mode: Reduction, x: usize, y: usize) -> Result<(), DeviceError> {
        let how = Descriptor::new(What::CUDNN_BACKEND_REDUCTION_DESCRIPTOR)?
            .with(
                Name::CUDNN_ATTR_REDUCTION_OPERATOR,
                Type::CUDNN_TYPE_REDUCTION_OPERATOR_TYPE,
                &[mode],
            )?
            .with(
                Name::CUDNN_ATTR_REDUCTION_COMP_TYPE,
                Type::CUDNN_TYPE_DATA_TYPE,
                &[DataType::CUDNN_DATA_FLOAT],
            )?
            .finalised()?;
        let operation = Descriptor::new(What::CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR)?
            .with_descriptor(Name::CUDNN_ATTR_OPERATION_REDUCTION_DESC, &how)?
            .with_descriptor(Name::CUDNN_ATTR_OPERATION_REDUCTION_XDESC, &self.kept[x])?
            .with_descriptor(Name::CUDNN_ATTR_OPERATION_REDUCTION_YDESC, &self.kept[y])?;
        self.operation(how, operation)
    }

    fn operation(&mut self, how: Descriptor, operation: Descriptor) -> Result<(), DeviceError> {
        self.operations.push(operation.finalised()?);
        self.kept.push(how);
        Ok(())
    }

    /// The softmax of scaled scores, times values.
    pub(super) fn attention(shape: &Shape) -> Result<Self, DeviceError> {
        let (f32, bf16) = (DataType::CUDNN_DATA_FLOAT, DataType::CUDNN_DATA_BFLOAT16);
        let (keys, width) = (shape.keys, shape.width);
        let [q, k, v, out] = shape.strides;
        // Strides of heads, rows and columns; that of pictures is of no account.
        let strides = |row: usize, rows: usize| [row * rows, width, row, 1];
        let mut graph = Self::default();
        let queries = graph.tensor(&Tensor::given(
            Given::Queries,
            [1, shape.heads, shape.queries, width],
            strides(q, shape.queries),
        ))?;
        // A column is a key.
        let [picture, head, row, column] = strides(k, keys);
        let transposed = graph.tensor(&Tensor::given(
            Given::Keys,
            [1, shape.kv_heads, width, keys],
            [picture, head, column, row],
        ))?;
        let values = graph.tensor(&Tensor::given(
            Given::Values,
            [1, shape.kv_heads, keys, width],
            strides(v, keys),
        ))?;
        let result = graph.tensor(&Tensor::given(
            Given::Result,
            [1, shape.heads, shape.queries, width],
            strides(out, shape.queries),
        ))?;
        let scale = graph.tensor(&Tensor::number(Given::Scale))?;

        let mut inner = |id, keys, kind| graph.tensor(&Tensor::inner(id, shape, keys, kind));
        let scores = inner(11, keys, f32)?;
        let scaled = inner(12, keys, f32)?;
        let largest = inner(13, 1, f32)?;
        let lowered = inner(14, keys, f32)?;
        let powers = inner(15, keys, f32)?;
        let sums = inner(16, 1, f32)?;
        let logarithms = inner(18, 1, f32)?;
        let statistics = inner(19, 1, f32)?;
        // The second product takes what it is given in the type of the values.
        let shares = inner(17, keys, bf16)?;

        graph.product([queries, transposed, scores])?;
        graph.pointwise(Pointwise::CUDNN_POINTWISE_MUL, scores, Some(scale), scaled)?;
        graph.reduction(Reduction::CUDNN_REDUCE_TENSOR_MAX, scaled, largest)?;
        graph.pointwise(
            Pointwise::CUDNN_POINTWISE_SUB,
            scaled,
            Some(largest),
            lowered,
        )?;
        graph.pointwise(Pointwise::CUDNN_POINTWISE_EXP, lowered, None, powers)?;
        graph.reduction(Reduction::CUDNN_REDUCE_TENSOR_ADD, powers, sums)?;
        // Nobody reads these two, but without them the library knows it for another operation, which
        // it has no fast kernel for.
        graph.pointwise(Pointwise::CUDNN_POINTWISE_LOG, sums, None, logarithms)?;
        graph.pointwise(
            Pointwise::CUDNN_POINTWISE_ADD,
            largest,
            Some(logarithms),
            statistics,
        )?;
        graph.pointwise(Pointwise::CUDNN_POINTWISE_DIV, powers, Some(sums), shares)?;
        graph.product([shares, values, result])?;
        Ok(graph)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_tensors_are_dense() {
        let shape = Shape {
            heads: 2,
            kv_heads: 2,
            width: 128,
            queries: 5,
            keys: 9,
            strides: [256; 4],
        };
        let tensor = Tensor::inner(11, &shape, shape.keys, DataType::CUDNN_DATA_FLOAT);
        assert_eq!(tensor.size, [1, 2, 5, 9]);
        assert_eq!(tensor.strides, [90, 45, 9, 1]);
    }
}
