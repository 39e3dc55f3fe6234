//! `tryon doctor`: what this machine can run, and what is wrong with its configuration.

use std::{io, path::Path};

use clap::Args;
use nvml_wrapper::{Device, Nvml};
use tryon_engine::supervisor::{Supervisor, SupervisorConfig, WorkerState};
use tryon_engine_qwen::backend::cuda::driver::{Library, Listed, devices, driver_version};
use tryon_gateway::{
    GatewayConfig,
    config::{ConfigFault, Database, RateConfig, StorageConfig},
    rate,
};
use tryon_node::NodeConfig;
use tryon_store::{PostgresStore, SqliteStore, Store, StoreError, Violation};

use crate::{
    config::{Service, Source, find_lost_links, load_gateway, load_node, load_serve},
    engine::EngineName,
    failure::{Failure, chain},
    platform::open_blobs,
};

/// Whose configuration to check.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The service to check; told from the sections of `config.yaml` where absent
    #[arg(long = "for", value_name = "SERVICE")]
    service: Option<Service>,
}

/// What was found.
#[derive(Default)]
struct Report {
    wrong: usize,
}

impl Report {
    fn good(&self, subject: &str, finding: impl std::fmt::Display) {
        self.line("ok", subject, finding);
    }

    fn note(&self, subject: &str, finding: impl std::fmt::Display) {
        self.line("note", subject, finding);
    }

    fn wrong(&mut self, subject: &str, finding: impl std::fmt::Display) {
        self.wrong += 1;
        self.line("wrong", subject, finding);
    }

    #[expect(clippy::unused_self, reason = "the three kinds of line read alike")]
    fn line(&self, mark: &str, subject: &str, finding: impl std::fmt::Display) {
        println!("{mark:<6} {subject:<14} {finding}");
    }
}

/// Checks everything and fails when something is wrong.
pub(crate) async fn run(args: &DoctorArgs, source: Source, data: &Path) -> Result<(), Failure> {
    let mut report = Report::default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    report.good(
        "tryon",
        format!("{}, {cores} CPU cores", env!("CARGO_PKG_VERSION")),
    );
    let service = args.service.unwrap_or_else(|| Service::of(&source));
    let file = source
        .file
        .as_ref()
        .map_or("no file, defaults", |(path, _)| path.as_str());
    report.note(
        "configuration",
        format!("{file}, for `tryon {}`", name_of(service)),
    );
    let (gateway, node) = load(service, source, data, &mut report);
    if let Some(gateway) = &gateway {
        check_gateway(gateway, service, &mut report).await;
    }
    check_devices(&mut report);
    if let Some(node) = node {
        check_node(&node, service, &mut report);
    }
    match report.wrong {
        0 => Ok(()),
        wrong => Err(Failure::new(format!("{wrong} thing(s) are wrong"))
            .hint("each is marked `wrong` above, with what to do")),
    }
}

fn name_of(service: Service) -> &'static str {
    match service {
        Service::Serve => "serve",
        Service::Gateway => "gateway",
        Service::Node => "node",
    }
}

fn load(
    service: Service,
    source: Source,
    data: &Path,
    report: &mut Report,
) -> (Option<GatewayConfig>, Option<NodeConfig>) {
    let loaded = match service {
        Service::Gateway => load_gateway(&source).map(|gateway| (Some(gateway), None)),
        Service::Node => load_node(&source).map(|node| (None, Some(node))),
        Service::Serve => {
            load_serve(source, data).map(|both| (Some(both.gateway), Some(both.node)))
        }
    };
    loaded.unwrap_or_else(|faults| {
        for fault in faults.0 {
            report.wrong("configuration", fault);
        }
        (None, None)
    })
}

async fn check_gateway(config: &GatewayConfig, service: Service, report: &mut Report) {
    // `serve` fills in what is missing.
    if service == Service::Gateway {
        for fault in config.faults() {
            report.wrong("gateway", fault);
        }
    }
    if let Some(advice) = find_lost_links(&config.server) {
        report.note("links", advice);
    }
    check_storage(&config.storage, report).await;
    check_database(config, report).await;
    check_rates(&config.rates, report).await;
    for task in &config.tasks {
        let modes: Vec<_> = task.modes.iter().map(|mode| mode.as_str()).collect();
        let (task, provider, modes) = (task.task, task.provider, modes.join(", "));
        report.good("task", format!("{task} by {provider} ({modes})"));
    }
}

async fn check_storage(config: &StorageConfig, report: &mut Report) {
    let Some(url) = &config.url else {
        return check_folder("pictures", &config.path, report);
    };
    match open_blobs(config).await {
        Ok(_) => report.good("pictures", format!("`{url}` can be written to")),
        Err(failure) => report.wrong("pictures", failure.message()),
    }
}

async fn check_database(config: &GatewayConfig, report: &mut Report) {
    let url = &config.database.url;
    let audited = match url.find_database() {
        // Looking must not make one.
        Some(Database::Sqlite(path)) if !path.exists() => {
            return report.note("database", format!("`{url}` is made at the first start"));
        }
        Some(Database::Sqlite(path)) => audit(SqliteStore::open_to_read(path).await).await,
        Some(Database::Postgres(url)) => audit(PostgresStore::open_to_read(url).await).await,
        None => return report.wrong("database", ConfigFault::unknown_database(url)),
    };
    match audited {
        Ok(violations) if violations.is_empty() => {
            report.good("database", format!("`{url}`, every credit accounted for"));
        }
        Ok(violations) => {
            for violation in violations {
                report.wrong("database", format!("{violation:?}"));
            }
        }
        Err(StoreError::OtherSchema { found: 0, .. }) => {
            report.note(
                "database",
                format!("`{url}` is empty until the first start"),
            );
        }
        Err(StoreError::OtherSchema { found, known }) if found < known => {
            let when = "the next start brings it up to date";
            report.note("database", format!("`{url}` has an older schema; {when}"));
        }
        Err(error) => report.wrong("database", chain(&format!("`{url}`"), &error)),
    }
}

async fn check_rates(config: &RateConfig, report: &mut Report) {
    if config.url.is_none() {
        return;
    }
    match rate::open(config).await {
        Ok(_) => report.good("rates", "counted in the server of `rates.url`"),
        Err(error) => report.wrong("rates", chain("`rates.url`", &error)),
    }
}

/// Looking changes nothing: a gateway may be at work on it, also one of another version.
async fn audit(store: Result<impl Store, StoreError>) -> Result<Vec<Violation>, StoreError> {
    let store = store?;
    let violations = store.audit().await;
    store.close().await;
    violations
}

/// The devices that the driver knows. Where there is one, also the libraries that it takes to
/// compute on it.
fn check_devices(report: &mut Report) {
    match devices(&[]) {
        Ok(devices) if devices.is_empty() => report.note("device", "no CUDA device"),
        Ok(devices) => {
            for device in &devices {
                report.good("device", describe(device));
            }
            if let Some(driver) = describe_driver() {
                report.good("device", driver);
            }
            check_libraries(report);
        }
        Err(reason) => report.note("device", chain("no CUDA device", &reason)),
    }
}

/// What is free is what NVML says; without it, what there is in all.
fn describe(device: &Listed) -> String {
    let Listed {
        ordinal,
        name,
        capability: (major, minor),
        memory,
        pci,
    } = device;
    let total = memory >> 20;
    let memory = match find_free(*pci) {
        Some(free) => format!("{free} of {total} MiB free"),
        None => format!("{total} MiB"),
    };
    format!("CUDA {ordinal}: {name}, {memory}, compute capability {major}.{minor}")
}

/// The driver's own version is NVML's to say.
fn describe_driver() -> Option<String> {
    let cuda = driver_version()?;
    let own = Nvml::init().and_then(|nvml| nvml.sys_driver_version());
    let own = own.map_or_else(|_| String::new(), |own| format!(" {own}"));
    Some(format!("driver{own}, for CUDA {cuda} and older"))
}

/// By where the device is: CUDA numbers devices otherwise than NVML. Of a card that is divided
/// NVML says what is free in all of it, which is not what the part that CUDA sees has.
fn find_free(pci: (u32, u32, u32)) -> Option<u64> {
    let nvml = Nvml::init().ok()?;
    let devices = 0..nvml.device_count().ok()?;
    let is_it = |device: &Device<'_>| {
        let place = device.pci_info().map(|it| (it.domain, it.bus, it.device));
        place.is_ok_and(|place| place == pci)
    };
    let device = devices
        .filter_map(|index| nvml.device_by_index(index).ok())
        .find(is_it)?;
    let divided = device.mig_mode().is_ok_and(|mode| mode.current != 0);
    let memory = device.memory_info().ok().filter(|_| !divided)?;
    Some(memory.free >> 20)
}

fn check_libraries(report: &mut Report) {
    for library in Library::ALL {
        let name = library.name();
        match library.open(&[]) {
            Ok(at) => report.good("device", format!("{name}: `{}`", at.display())),
            Err(error) if library == Library::Cudnn => {
                let finding = chain(&format!("{name} is not used"), &error);
                report.note("device", format!("{finding}; a kernel attends without it"));
            }
            Err(error) => report.wrong("device", chain(name, &error)),
        }
    }
}

fn check_node(config: &NodeConfig, service: Service, report: &mut Report) {
    if service == Service::Node {
        for fault in config.faults() {
            report.wrong("node", fault);
        }
    }
    check_folder("spool", &config.spool.dir, report);
    let (engine, why) = EngineName::choose(&config.model);
    check_moderator(config, engine, report);
    if let Some(why) = why {
        let name = engine.provider().as_str();
        report.note(
            "engine",
            format!("`model.model_type` is `auto`, which is `{name}` here: {why}"),
        );
    }
    check_engine(engine.supervise(config), report);
}

/// The diffusion model moderates where a classifier is installed for it; the preview never does.
fn check_moderator(config: &NodeConfig, engine: EngineName, report: &mut Report) {
    let folder = config.model.dir.join("moderator");
    if engine != EngineName::Preview && folder.is_dir() {
        report.good("moderation", format!("`{}` is installed", folder.display()));
    } else {
        let why = "no classifier is used: `moderation_level` is accepted and has no effect";
        report.note("moderation", why);
    }
}

/// Loads the engine as a node would.
fn check_engine(config: SupervisorConfig, report: &mut Report) {
    let supervisor = Supervisor::start(config);
    match (supervisor.wait_loaded(), supervisor.description()) {
        (WorkerState::Failed { reason }, _) => report.wrong("engine", reason),
        (_, Some(engine)) => {
            let (model, version) = (&engine.model_type, &engine.model_version);
            report.good("engine", format!("{model} {version} on {}", engine.backend));
            if let Some(notice) = &engine.notice {
                report.note("engine", notice);
            }
        }
        (_, None) => report.wrong("engine", "it loads and does not say what it is"),
    }
    supervisor.shutdown();
}

/// Whether a folder can be written to, without leaving anything behind.
fn check_folder(subject: &str, folder: &Path, report: &mut Report) {
    let shown = folder.display();
    match probe(folder) {
        Ok(true) => report.good(subject, format!("`{shown}` can be written to")),
        Ok(false) => report.note(subject, format!("`{shown}` is made at the first start")),
        Err(error) => report.wrong(subject, format!("`{shown}`: {error}")),
    }
}

fn probe(folder: &Path) -> io::Result<bool> {
    if !folder.try_exists()? {
        return Ok(false);
    }
    tempfile::tempfile_in(folder).map(|_| true)
}
