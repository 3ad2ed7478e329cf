//! What the disk allows: rows of 200 bytes, in commits of one and of many, in `SQLite` and without it.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use super::hot::filled_log;
use super::meter::{Spent, measured};
use super::{Bench, Figure, Result, Workload};
use crate::time::elapsed;

pub(super) const WORKLOAD: Workload = Workload {
    name: "disk",
    about: "rows of 200 bytes, durable: SQLite on a log that is filled, and a file alone",
    measure,
};

const ROW: usize = 200;
/// Rows of a commit.
const GROUPS: [usize; 3] = [1, 64, 256];
/// Bytes of the file that is written over and over.
const FILE: usize = 32 << 20;

fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let time = Duration::from_millis(if bench.is_quick() { 200 } else { 1_000 });
    let mut figures = Vec::new();
    for group in GROUPS {
        figures.push(rows(&sqlite(bench, group, time)?, "SQLite", group));
    }
    for group in GROUPS {
        figures.push(rows(&file(bench, group, time)?, "preallocated file, fdatasync", group));
    }
    Ok(figures)
}

fn rows((count, spent): &(usize, Spent), what: &str, group: usize) -> Figure {
    let rows = if group == 1 { "1 row".to_owned() } else { format!("{group} rows") };
    Figure::new(format!("{what}, {rows} a commit"), spent.rate(*count), "rows/s").cpu(spent.cpu_us(*count))
}

/// Commits for so long; how many rows.
fn repeat(group: usize, time: Duration, mut commit: impl FnMut(usize) -> Result<()>) -> Result<(usize, Spent)> {
    measured(|| {
        let (begun, mut count) = (elapsed(), 0);
        while elapsed().saturating_sub(begun) < time {
            commit(count)?;
            count += group;
        }
        Ok(count)
    })
}

fn sqlite(bench: &Bench, group: usize, time: Duration) -> Result<(usize, Spent)> {
    let folder = bench.scratch()?;
    let connection = filled_log(&folder.path().join("disk.db"))?;
    let body = [7_u8; ROW];
    repeat(group, time, |_| {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for run in 0..group {
            let mut insert = connection.prepare_cached("INSERT INTO segment(run, prev, body) VALUES(?1, 0, ?2)")?;
            insert.execute(rusqlite::params![run as i64, &body[..]])?;
        }
        Ok(connection.execute_batch("COMMIT")?)
    })
}

fn file(bench: &Bench, group: usize, time: Duration) -> Result<(usize, Spent)> {
    let folder = bench.scratch()?;
    let mut file = File::create(folder.path().join("log"))?;
    file.write_all(&vec![0; FILE])?;
    file.sync_all()?;
    let body = vec![7_u8; ROW * group];
    repeat(group, time, |count| {
        let at = count * ROW % (FILE - body.len());
        file.seek(SeekFrom::Start(at as u64))?;
        file.write_all(&body)?;
        Ok(file.sync_data()?)
    })
}
