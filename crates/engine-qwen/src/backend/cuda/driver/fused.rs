//! Attention by cuDNN: a graph of operations that the library knows as one.
//!
//! cudnn-frontend 1.x, `node/scaled_dot_product_flash_attention.h` and `node/softmax.h`
//! (`CompositeSDPANode`, `CompositeSoftmaxNode`), is where the operations and their types are from.
#![expect(unsafe_code, reason = "cuDNN is a C library")]

use std::{collections::HashMap, ffi::c_void, sync::Arc};

use cudarc::cudnn::{
    result,
    sys::{
        self, cudnnBackendAttributeName_t as Name, cudnnBackendAttributeType_t as Type,
        cudnnBackendDescriptorType_t as What, cudnnDataType_t as DataType,
        cudnnPointwiseMode_t as Pointwise, cudnnReduceTensorOp_t as Reduction,
    },
};

use super::{
    super::{Command, DeviceError, Element, Kind, Mask, Operand},
    context::Context,
    error::{Called as _, Code as _},
};

/// The oldest version whose sequences may have any length.
const OLDEST: usize = 90_000;

/// Engines that are tried, in the library's order.
const ENGINES: usize = 8;

/// What a plan depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    heads: usize,
    kv_heads: usize,
    width: usize,
    queries: usize,
    keys: usize,
    /// Of queries, keys, values and the result.
    strides: [usize; 4],
}

impl Shape {
    /// `None` of what the library has no fast kernel for.
    fn of(command: &Command) -> Option<Self> {
        let Kind::Attend {
            heads,
            kv_heads,
            mask: Mask::All,
            ..
        } = command.kind
        else {
            return None;
        };
        let [q, k, v] = &command.reads[..] else {
            return None;
        };
        let out = &command.writes[0];
        let width = q.width / heads;
        let fits = |operand: &Operand| {
            operand.element == Element::Bf16 && operand.stride % 8 == 0 && operand.at % 16 == 0
        };
        let fit = [q, k, v, out].into_iter().all(fits) && width % 8 == 0 && width <= 128;
        fit.then_some(Self {
            heads,
            kv_heads,
            width,
            queries: q.rows,
            keys: k.rows,
            strides: [q.stride, k.stride, v.stride, out.stride],
        })
    }
}

/// The library, and a plan for each shape that it has one for.
pub(super) struct Fused {
    handle: sys::cudnnHandle_t,
    plans: HashMap<Shape, Option<Plan>>,
    context: Arc<Context>,
}

// SAFETY: a handle and its descriptors may be used by any thread, by one at a time.
unsafe impl Send for Fused {}

impl Fused {
    /// `None` if the library is too old.
    pub(super) fn open(context: &Arc<Context>) -> Result<Option<Self>, DeviceError> {
        // SAFETY: it reads a number of the library.
        if unsafe { sys::cudnnGetVersion() } < OLDEST {
            return Ok(None);
        }
        let mut handle = std::ptr::null_mut();
        // SAFETY: the context is this thread's.
        unsafe { sys::cudnnCreate(&raw mut handle) }.called("cudnnCreate")?;
        let this = Self {
            handle,
            plans: HashMap::new(),
            context: Arc::clone(context),
        };
        // SAFETY: handle and stream live.
        unsafe { sys::cudnnSetStream(handle, context.stream.cast()) }.called("cudnnSetStream")?;
        Ok(Some(this))
    }

    /// Whether it attends as this command wants; planned if it was not.
    pub(super) fn can(&mut self, command: &Command) -> bool {
        let Some(shape) = Shape::of(command) else {
            return false;
        };
        let (handle, context) = (self.handle, &self.context);
        // What cannot be planned, for whatever reason, the own kernel does.
        let plan = self
            .plans
            .entry(shape)
            .or_insert_with(|| Plan::new(handle, context, &shape).ok());
        plan.is_some()
    }

    /// Does not use the plan for this command's shape any more.
    pub(super) fn forget(&mut self, command: &Command) {
        if let Some(shape) = Shape::of(command) {
            self.plans.insert(shape, None);
        }
    }

    /// # Panics
    ///
    /// If it [cannot](Self::can).
    pub(super) fn attend(&self, command: &Command) -> Result<(), DeviceError> {
        let plan = Shape::of(command).and_then(|shape| self.plans.get(&shape)?.as_ref());
        let plan = plan.expect("BUG: it was asked whether it can");
        plan.execute(self.handle, command)
    }
}

impl Drop for Fused {
    fn drop(&mut self) {
        self.plans.clear();
        if self.context.enter().is_ok() {
            // SAFETY: nothing uses it any more.
            let _ = unsafe { result::destroy_handle(self.handle) };
        }
    }
}

/// Something that the library was told.
struct Descriptor(sys::cudnnBackendDescriptor_t);

impl Descriptor {
    fn new(what: What) -> Result<Self, DeviceError> {
        let mut descriptor = std::ptr::null_mut();
        // SAFETY: it writes one pointer.
        unsafe { sys::cudnnBackendCreateDescriptor(what, &raw mut descriptor) }
            .called("cudnnBackendCreateDescriptor")?;
        Ok(Self(descriptor))
    }

    fn with<T>(self, name: Name, kind: Type, values: &[T]) -> Result<Self, DeviceError> {
        // SAFETY: each attribute is set with values of its type, which are copied.
        unsafe {
            sys::cudnnBackendSetAttribute(
                self.0,
                name,
                kind,
                values.len() as i64,
                values.as_ptr().cast(),
            )
        }
        .called("cudnnBackendSetAttribute")?;
        Ok(self)
    }

    fn with_descriptor(self, name: Name, other: &Self) -> Result<Self, DeviceError> {
        self.with(name, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, &[other.0])
    }

    fn finalised(self) -> Result<Self, DeviceError> {
        // SAFETY: it lives.
        unsafe { sys::cudnnBackendFinalize(self.0) }.called("cudnnBackendFinalize")?;
        Ok(self)
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: it is used no more.
        let _ = unsafe { sys::cudnnBackendDestroyDescriptor(self.0) };
    }
}

/// Tensors that are given when a plan is executed.
#[derive(Clone, Copy)]
enum Given {
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
struct Graph {
    kept: Vec<Descriptor>,
    operations: Vec<Descriptor>,
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
    fn attention(shape: &Shape) -> Result<Self, DeviceError> {
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

/// A graph made ready for the device.
struct Plan {
    ready: Descriptor,
    workspace: Option<(u64, Arc<Context>)>,
    // What it was made of.
    _graph: (Graph, Vec<Descriptor>),
}

impl Plan {
    fn new(
        handle: sys::cudnnHandle_t,
        context: &Arc<Context>,
        shape: &Shape,
    ) -> Result<Self, DeviceError> {
        let graph = Graph::attention(shape)?;
        let operations: Vec<_> = graph.operations.iter().map(|one| one.0).collect();
        let whole = Descriptor::new(What::CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)?
            .with(
                Name::CUDNN_ATTR_OPERATIONGRAPH_HANDLE,
                Type::CUDNN_TYPE_HANDLE,
                &[handle],
            )?
            .with(
                Name::CUDNN_ATTR_OPERATIONGRAPH_OPS,
                Type::CUDNN_TYPE_BACKEND_DESCRIPTOR,
                &operations,
            )?
            .finalised()?;
        let heuristics = Descriptor::new(What::CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)?
            .with_descriptor(Name::CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, &whole)?
            .with(
                Name::CUDNN_ATTR_ENGINEHEUR_MODE,
                Type::CUDNN_TYPE_HEUR_MODE,
                &[sys::cudnnBackendHeurMode_t::CUDNN_HEUR_MODE_A],
            )?
            .finalised()?;
        let mut made_of = vec![whole];
        let engines = engines(&heuristics)?;
        made_of.push(heuristics);
        let mut planned = engines
            .iter()
            .filter_map(|engine| planned(handle, engine).ok());
        let Some(plan) = planned.next() else {
            let unsupported = sys::cudnnStatus_t::CUDNN_STATUS_NOT_SUPPORTED;
            return Err(unsupported.of("cudnnBackendFinalize"));
        };
        made_of.extend(engines);
        let workspace = match workspace_of(&plan)? {
            0 => None,
            bytes => Some((context.allocate(bytes)?, Arc::clone(context))),
        };
        Ok(Self {
            ready: plan,
            workspace,
            _graph: (graph, made_of),
        })
    }

    fn execute(&self, handle: sys::cudnnHandle_t, command: &Command) -> Result<(), DeviceError> {
        let Kind::Attend { scale, .. } = command.kind else {
            panic!("BUG: not an attention");
        };
        let scale = scale.get();
        let workspace = self.workspace.as_ref().map_or(0, |(at, _)| *at);
        let ids = [
            Given::Queries,
            Given::Keys,
            Given::Values,
            Given::Result,
            Given::Scale,
        ];
        let [q, k, v] = [0, 1, 2].map(|i: usize| command.reads[i].at as *const c_void);
        let out = command.writes[0].at as *const c_void;
        let pointers = [q, k, v, out, (&raw const scale).cast()];
        let given = Descriptor::new(What::CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)?
            .with(
                Name::CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS,
                Type::CUDNN_TYPE_INT64,
                &ids.map(|id| id as i64),
            )?
            .with(
                Name::CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
                Type::CUDNN_TYPE_VOID_PTR,
                &pointers,
            )?
            .with(
                Name::CUDNN_ATTR_VARIANT_PACK_WORKSPACE,
                Type::CUDNN_TYPE_VOID_PTR,
                &[workspace as *const c_void],
            )?
            .finalised()?;
        // SAFETY: operands are of the shape that the plan was made for; the number is read before
        // this returns.
        unsafe { sys::cudnnBackendExecute(handle, self.ready.0, given.0) }
            .called("cudnnBackendExecute")
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        if let Some((at, context)) = &self.workspace {
            context.free(*at);
        }
    }
}

/// How the library would do it, the best first.
fn engines(heuristics: &Descriptor) -> Result<Vec<Descriptor>, DeviceError> {
    let engines = (0..ENGINES).map(|_| Descriptor::new(What::CUDNN_BACKEND_ENGINECFG_DESCRIPTOR));
    let mut engines = engines.collect::<Result<Vec<_>, _>>()?;
    let mut pointers: Vec<_> = engines.iter().map(|engine| engine.0).collect();
    let mut count = 0;
    // SAFETY: as many are written to as there are.
    unsafe {
        sys::cudnnBackendGetAttribute(
            heuristics.0,
            Name::CUDNN_ATTR_ENGINEHEUR_RESULTS,
            Type::CUDNN_TYPE_BACKEND_DESCRIPTOR,
            ENGINES as i64,
            &raw mut count,
            pointers.as_mut_ptr().cast(),
        )
    }
    .called("cudnnBackendGetAttribute")?;
    engines.truncate(usize::try_from(count).unwrap_or(0));
    Ok(engines)
}

fn planned(handle: sys::cudnnHandle_t, engine: &Descriptor) -> Result<Descriptor, DeviceError> {
    Descriptor::new(What::CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)?
        .with(
            Name::CUDNN_ATTR_EXECUTION_PLAN_HANDLE,
            Type::CUDNN_TYPE_HANDLE,
            &[handle],
        )?
        .with_descriptor(Name::CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, engine)?
        .finalised()
}

fn workspace_of(plan: &Descriptor) -> Result<usize, DeviceError> {
    let (mut bytes, mut count) = (0_i64, 0);
    // SAFETY: it writes one number.
    unsafe {
        sys::cudnnBackendGetAttribute(
            plan.0,
            Name::CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
            Type::CUDNN_TYPE_INT64,
            1,
            &raw mut count,
            (&raw mut bytes).cast(),
        )
    }
    .called("cudnnBackendGetAttribute")?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(mask: Mask, element: Element, heads: usize) -> Command {
        let operand = |rows| Operand {
            at: 256,
            element,
            rows,
            width: 256,
            stride: 256,
        };
        Command {
            kind: Kind::Attend {
                heads,
                kv_heads: heads,
                scale: 0.1.into(),
                mask,
            },
            reads: vec![operand(5), operand(9), operand(9)],
            writes: vec![operand(5)],
        }
    }

    #[test]
    fn what_the_library_is_not_fast_at_is_not_its() {
        let shape = Shape::of(&command(Mask::All, Element::Bf16, 2)).unwrap();
        assert_eq!((shape.queries, shape.keys, shape.width), (5, 9, 128));
        for other in [
            command(Mask::Causal, Element::Bf16, 2),
            command(Mask::All, Element::F32, 2),
            command(Mask::All, Element::Bf16, 1),
            command(Mask::All, Element::Bf16, 64),
        ] {
            assert_eq!(Shape::of(&other), None);
        }
    }

    #[test]
    fn inner_tensors_are_dense() {
        let shape = Shape::of(&command(Mask::All, Element::Bf16, 2)).unwrap();
        let tensor = Tensor::inner(11, &shape, shape.keys, DataType::CUDNN_DATA_FLOAT);
        assert_eq!(tensor.size, [1, 2, 5, 9]);
        assert_eq!(tensor.strides, [90, 45, 9, 1]);
    }
}
