//! Operations made ready for the device.
#![expect(unsafe_code, reason = "cuDNN is a C library")]

use std::{ffi::c_void, sync::Arc};

use cudarc::cudnn::sys::{
    self, cudnnBackendAttributeName_t as Name, cudnnBackendAttributeType_t as Type,
    cudnnBackendDescriptorType_t as What,
};

use super::{
    super::{
        super::{Command, DeviceError, Kind},
        context::{Context, Scratch},
        error::{Called as _, Code as _},
    },
    Shape,
    descriptor::Descriptor,
    graph::{Given, Graph},
};

/// Engines that are tried, in the library's order.
const ENGINES: usize = 8;

/// A graph made ready for the device.
pub(super) struct Plan {
    // Each was made of those after it, and so is dropped before them.
    ready: Descriptor,
    workspace: Option<Scratch>,
    _engines: Vec<Descriptor>,
    _heuristics: Descriptor,
    _whole: Descriptor,
    _graph: Graph,
}

impl Plan {
    pub(super) fn new(
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
        let engines = engines(&heuristics)?;
        let ready = first_planned(handle, context, &engines)?;
        let workspace = match workspace_of(&ready)? {
            0 => None,
            bytes => Some(Scratch::new(context, bytes)?),
        };
        Ok(Self {
            ready,
            workspace,
            _engines: engines,
            _heuristics: heuristics,
            _whole: whole,
            _graph: graph,
        })
    }

    pub(super) fn execute(
        &self,
        handle: sys::cudnnHandle_t,
        command: &Command,
    ) -> Result<(), DeviceError> {
        let Kind::Attend { scale, .. } = command.kind else {
            panic!("BUG: not an attention");
        };
        let scale = scale.get();
        let workspace = self.workspace.as_ref().map_or(0, Scratch::at);
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

/// The plan of the first engine that has one.
fn first_planned(
    handle: sys::cudnnHandle_t,
    context: &Context,
    engines: &[Descriptor],
) -> Result<Descriptor, DeviceError> {
    for engine in engines {
        if let Some(plan) = context.tried(planned(handle, engine))? {
            return Ok(plan);
        }
    }
    let unsupported = sys::cudnnStatus_t::CUDNN_STATUS_NOT_SUPPORTED;
    Err(unsupported.of("cudnnBackendFinalize"))
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
