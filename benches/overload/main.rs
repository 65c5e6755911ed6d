//! draft
mod simulation;
use simulation::rivals::{self, Law};
use simulation::scenario::{self, Change, Scenario};
use simulation::Simulation;

fn law(name: &str, seed: u64, opt: u32) -> Box<dyn Law> {
    match name {
        "ours" => Box::new(rivals::Ours::default()),
        "fixed" => Box::new(rivals::Fixed(opt)),
        "fixed200" => Box::new(rivals::Fixed(200)),
        "aimd" => Box::new(rivals::Aimd::default()),
        "vegas" => Box::new(rivals::Vegas::new(seed)),
        "gradient2" => Box::new(rivals::Gradient2::default()),
        "envoy50" => Box::new(rivals::Gradient::new(0.5, seed)),
        "envoy90" => Box::new(rivals::Gradient::new(0.9, seed)),
        _ => panic!(),
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let laws: Vec<&str> = args[0].split(',').collect();
    let only = args.get(1).map(String::as_str).unwrap_or("");
    let seeds: u64 = args.get(2).and_then(|s| s.parse().ok()).unwrap_or(5);
    let shapes: Vec<(&str, scenario::Scenario, Vec<(f64, f64)>)> = {
        let mut v = Vec::new();
        let thirds = vec![(15.0, 45.0), (45.0, 75.0), (75.0, 105.0)];
        for (n, s) in [("usl", scenario::REFERENCE), ("kink", scenario::KINK), ("cliff", scenario::CLIFF)] {
            v.push((n, "par", scenario::parallelism_halves(s), thirds.clone()));
            v.push((n, "speed", scenario::speed_halves(s), thirds.clone()));
            v.push((n, "stall", scenario::stall(s), vec![(15.0, 45.0), (50.0, 51.0), (51.0, 80.0)]));
            v.push((n, "refuse", scenario::refusal(s), vec![(15.0, 45.0), (55.0, 75.0), (75.0, 100.0)]));
            v.push((n, "fail", scenario::fast_failure(s), vec![(15.0, 45.0), (55.0, 57.0), (57.0, 80.0)]));
            v.push((n, "mix", scenario::mix_shift(s), thirds.clone()));
            v.push((n, "step", scenario::step(s), vec![(45.0, 48.0), (48.0, 75.0), (45.0, 75.0)]));
        }
        for (n, s) in scenario::VARIANTS {
            v.push((n, "par", scenario::parallelism_halves(s), thirds.clone()));
        }
        for (n, s) in [("usl", scenario::REFERENCE), ("kink", scenario::KINK), ("cliff", scenario::CLIFF)] {
            v.push((n, "long", scenario::long(s), vec![(15.0, 300.0), (300.0, 700.0), (700.0, 1200.0)]));
        }
        for w in [simulation::service::Work::Uniform, simulation::service::Work::Exponential] {
            for (n, s) in [("usl", scenario::REFERENCE), ("kink", scenario::KINK), ("cliff", scenario::CLIFF)] {
                v.push((n, if w == simulation::service::Work::Uniform {"uni"} else {"exp"}, Scenario { work: w, ..scenario::parallelism_halves(s) }, thirds.clone()));
            }
        }
        v.into_iter().map(|(n, e, s, p)| (Box::leak(format!("{n}/{e}").into_boxed_str()) as &str, s, p)).collect()
    };
    for (name, scenario, phases) in &shapes {
        if !only.is_empty() && !only.split(',').any(|o| name.contains(o)) { continue; }
        for l in &laws {
            let t = std::time::Instant::now();
            let mut sums = vec![0.0; phases.len()];
            let mut worst = vec![9.0f64; phases.len()];
            let mut rec = [0.0f64; 3];
            let mut recs = vec![];
            let mut lim = vec![0.0; phases.len()];
            let s0: u64 = std::env::var("SEED0").ok().and_then(|v| v.parse().ok()).unwrap_or(0); for seed in s0..s0 + seeds {
                let r = Simulation::new(scenario, law(l, seed, scenario.shape.optimum() as u32), seed + 1).run();
                if std::env::var_os("BUCKETS").is_some() { println!("{}", r.trace(phases[0].0, phases[2].1)); }
                for (i, (a, b)) in phases.iter().enumerate() {
                    let s = r.share(*a, *b);
                    sums[i] += s;
                    worst[i] = worst[i].min(s);
                    lim[i] += r.mean_limit(*a, *b);
                }
                rec[0] += r.recovery(0.0, 45.0, 0.95).unwrap_or(99.0);
                let c: Vec<f64> = scenario.changes.iter().map(|c| c.0).collect();
                let mut rr = vec![];
                for (k, at) in c.iter().enumerate() {
                    let end = c.get(k + 1).copied().unwrap_or(scenario.seconds);
                    let v = r.recovery(*at, end, 0.95).unwrap_or(99.0);
                    rec[1 + k] += v;
                    rr.push(v);
                }
                recs.push(rr);
            }
            let n = seeds as f64;
            let f = |v: &Vec<f64>, m: f64| v.iter().map(|x| format!("{:5.1}", x * m)).collect::<Vec<_>>().join(" ");
            println!("{name:14} {l:9} mean {} worst {} L {} rec {:.1} {:.1} {:.1}  {:.2}s {:?}",
                f(&sums.iter().map(|x| x / n).collect(), 100.0), f(&worst, 100.0), f(&lim.iter().map(|x| x / n).collect(), 1.0),
                rec[0] / n, rec[1] / n, rec[2] / n, t.elapsed().as_secs_f64(), recs);
        }
    }
    let _ = Change::Load(1.0);
}
