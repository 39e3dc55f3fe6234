//! `tryon bench`.

use std::process::Output;

use tryon_testkit::postgres::PostgresServer;

use crate::process::tryon;

fn bench(database: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tryon(folder.path());
    // What a gateway on this machine would be configured with is none of the benchmark's.
    command.env("TRYON_DATABASE_URL", "sqlite://not-to-be-found/tryon.db");
    command.args(["bench", "cluster", "--database", database]);
    command.args(["--nodes", "3", "--inference", "0.01", "--jobs", "10"]);
    command.args(["--in-flight", "2,6", "--history", "0,300"]);
    command.output().unwrap()
}

#[test]
fn a_cluster_is_measured_as_its_history_grows() {
    let database = PostgresServer::shared().create_database().unwrap();
    let output = bench(&database);
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{error}");
    let rows = text.lines().filter_map(|line| {
        let figures: Result<Vec<f64>, _> = line.split_whitespace().map(str::parse).collect();
        figures.ok().filter(|figures| figures.len() == 10)
    });
    let rows: Vec<_> = rows.collect();
    let sizes: Vec<_> = rows.iter().map(|row| [row[0], row[1]]).collect();
    let expected = [[3.0, 2.0], [13.0, 6.0], [300.0, 2.0], [310.0, 6.0]];
    assert_eq!(sizes, expected, "{text}");
    for row in &rows {
        // Each job takes time, a gateway and a database.
        assert!(row[2..].iter().all(|figure| *figure > 0.0), "{text}");
        assert!(row[3] <= row[4], "{text}");
    }
    assert!(text.ends_with("the books are right\n"), "{text}");

    // What is in use is left alone.
    let output = bench(&database);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(error.contains("the database is in use"), "{error}");
}
