//! Trying versions, and moving runs to the live one.

use super::*;

const WAITS: &str = "let a = step(\"a\", || 1);\nwait_for(\"done\");\na";

impl Bench {
    fn deploy(&self, name: &str, text: &str) {
        let bundle = Bundle::of_text(&format!("{name}.rhai"), text).expect("a bundle");
        let settings: Arc<dyn Settings> = Arc::new(NoSettings);
        self.engine.handle().deploy(compile(bundle, &settings).expect("compiles"));
    }

    /// A run that waits.
    fn waiting(&self, workflow: &str) -> String {
        let started = self.post(&format!("/api/v1/workflows/{workflow}/runs"), &json!({})).expect(202).json();
        let run = started["run"].as_str().expect("an id").to_owned();
        let path = format!("/api/v1/runs/{run}");
        self.block(async {
            while answer(self.router.clone(), request(&format!("GET {path}"), &[], "")).await.json()["status"]
                != "waiting"
            {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        });
        run
    }
}

fn sources(text: &str) -> Value {
    json!({ "main": "w.rhai", "sources": { "w.rhai": text } })
}

#[test]
fn a_run_is_moved_to_the_live_version_or_both_lines_are_told() {
    let bench = Bench::new(&[("w", WAITS)]);
    let run = bench.waiting("w");
    let path = format!("/api/v1/runs/{run}/upgrade");
    bench.deploy("w", &WAITS.replace("\"a\"", "\"b\""));
    let refused = bench.post(&path, &json!({})).expect(409).json();
    let sides = (&refused["divergence"]["recorded"]["name"], &refused["divergence"]["issued"]["name"]);
    assert_eq!(sides, (&json!("a"), &json!("b")));
    assert_eq!(bench.post(&path, &json!({ "dry_run": true })).expect(200).json()["compatible"], false);
    bench.deploy("w", &WAITS.replace("\na", "\na + 1"));
    assert_eq!(bench.post(&path, &json!({ "dry_run": true })).expect(200).json()["moved"], false);
    let moved = bench.post(&path, &json!({})).expect(200).json();
    assert_eq!((&moved["moved"], &moved["compatible"]), (&json!(true), &json!(true)));
    assert_eq!(bench.get(&format!("/api/v1/runs/{run}")).json()["version"], moved["to"]);
    bench.deploy("w", "1");
    assert_eq!(bench.post(&path, &json!({ "force": true })).expect(200).json()["moved"], true);
    assert_eq!(bench.get(&format!("/api/v1/runs/{run}")).json()["status"], "diverged");
    bench.post("/api/v1/runs/018f0000-0000-7000-8000-000000000000/upgrade", &json!({})).expect(404);
}

#[test]
fn sources_are_tried_on_the_runs_that_there_are() {
    let bench = Bench::new(&[("w", WAITS)]);
    bench.waiting("w");
    let attempt = |text: &str| bench.post("/api/v1/workflows/w/gate", &sources(text));
    let fits = attempt(&WAITS.replace("\na", "\na + 1")).expect(200).json();
    assert_eq!((&fits["state"], &fits["open"]["compatible"]), (&json!("done"), &json!(1)));
    let other = attempt(&WAITS.replace("done", "stop")).expect(200).json();
    let issued = &other["divergences"][0]["issued"];
    assert_eq!((&other["open"]["diverging"], &issued["line"], &issued["name"]), (&json!(1), &json!(2), &json!("stop")));
    let broken = attempt("let a = ;").expect(422).json();
    assert_eq!(broken["diagnostics"][0]["line"], 1);
    bench.post("/api/v1/workflows/w/gate", &json!({ "main": 1 })).expect(422);
}
