//! `make bench-ladder`: one 720p30 source to three rungs, beside ffmpeg with libx264 on the same clip in the same run: CPU time,
//! bitrate and PSNR of both. Needs ffmpeg; writes into a folder of its own under the machine's temporary one.
//!
//! Both run on one thread. PSNR is luma, chroma and all by ffmpeg's psnr filter, against the decoded source scaled by lanczos,
//! which neither of the two uses.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement: what fails is to be seen")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use minamo_media::h264::{annex_b_nal_units, annex_b_to_avcc, avcc_to_annex_b, is_idr};
use minamo_media::{Codec, h264::NalType};
use minamo_transcode::{Fit, KeyFrames, Ladder, Profile, RungSettings, SourceUnit, decoder_of};

const SECONDS: u32 = 10;
const FPS: u32 = 30;
/// Width, height, bits per second.
const RUNGS: [(usize, usize, u32); 3] = [(1280, 720, 2_500_000), (854, 480, 1_200_000), (640, 360, 700_000)];

/// What ffmpeg draws: a test pattern with noise, as hard as a camera in the dark; a zoom into fine structures, everything moves.
const CLIPS: [(&str, &str); 2] = [
    ("pattern", "testsrc2=size=1280x720:rate=30,noise=alls=10:allf=t"),
    ("zoom", "mandelbrot=size=1280x720:rate=30:end_scale=0.0005:end_pts=900:maxiter=300,noise=alls=4:allf=t"),
];

/// How ffmpeg encodes: as for a low-latency channel, and as it likes.
const ARMS: [(&str, &[&str]); 2] = [
    ("x264 superfast", &["-preset", "superfast", "-tune", "zerolatency"]),
    ("x264 superfast, B-frames", &["-preset", "superfast"]),
];

fn main() {
    let folder = std::env::temp_dir().join(format!("minamo-ladder-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    println!("1280x720 at {FPS} per second for {SECONDS} s, to {RUNGS:?}; one thread each; CPU is user and system time\n");
    for (clip, filter) in CLIPS {
        let source = folder.join(format!("{clip}.h264"));
        make(filter, &source);
        println!("{clip}: {filter}; the source has {} kbit/s", kbps(&source));
        let stills = still_cost(&source);
        println!("  decoding alone takes {stills:.2} s");
        let ours = [("openh264 baseline", Profile::Baseline), ("openh264 high", Profile::High)];
        let mut results = Vec::new();
        for (name, profile) in ours {
            let outputs = outputs(&folder, clip, name);
            results.push((name, cpu_of(|| transcode(&source, &outputs, profile)), outputs));
        }
        for (name, options) in ARMS {
            let outputs = outputs(&folder, clip, name);
            results.push((name, cpu_of(|| ffmpeg_ladder(&source, &outputs, options)), outputs));
        }
        report(&source, &results);
    }
    fs::remove_dir_all(&folder).unwrap();
}

fn report(source: &Path, results: &[(&str, f64, Vec<PathBuf>)]) {
    for (name, cpu, outputs) in results {
        let load = cpu / f64::from(SECONDS) * 100.0;
        println!("  {name:26} {cpu:6.2} s of CPU, {load:5.1} % of a core");
        for (output, (width, height, asked)) in outputs.iter().zip(RUNGS) {
            let psnr = psnr(output, source, width, height);
            println!("    {width:4}x{height:<4} asked {:5} kbit/s, got {:5}, PSNR {psnr}", asked / 1000, kbps(output));
        }
    }
    for (ours, ours_cpu, _) in &results[..2] {
        for (theirs, theirs_cpu, _) in &results[2..] {
            println!("  {ours} takes {:.2} × the CPU of {theirs}", ours_cpu / theirs_cpu);
        }
    }
    println!();
}

fn outputs(folder: &Path, clip: &str, name: &str) -> Vec<PathBuf> {
    (0..RUNGS.len()).map(|rung| folder.join(format!("{clip}-{}-{rung}.h264", name.replace([' ', ','], "-")))).collect()
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-y", "-loglevel", "info"]).stdout(Stdio::null());
    command
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("ffmpeg is installed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// As a browser sends it: no B-frames, a key frame every two seconds, one slice.
fn make(filter: &str, to: &Path) {
    let mut command = ffmpeg();
    command.args(["-f", "lavfi", "-i", filter, "-t", &SECONDS.to_string(), "-pix_fmt", "yuv420p", "-c:v", "libx264"]);
    command.args(["-preset", "veryfast", "-profile:v", "baseline", "-b:v", "6M", "-maxrate", "6M", "-bufsize", "6M"]);
    command.args([
        "-g",
        "60",
        "-keyint_min",
        "60",
        "-sc_threshold",
        "0",
        "-x264-params",
        "sliced-threads=0:slices=1",
        "-f",
        "h264",
    ]);
    succeed(command.arg(to));
}

fn ffmpeg_ladder(source: &Path, outputs: &[PathBuf], options: &[&str]) {
    let mut command = ffmpeg();
    command.args(["-threads", "1", "-r", &FPS.to_string(), "-i"]).arg(source);
    let split = format!("[0:v]split={}[s0][s1][s2]", RUNGS.len());
    let scales: Vec<String> =
        RUNGS.iter().enumerate().map(|(n, (width, height, _))| format!("[s{n}]scale={width}:{height}[o{n}]")).collect();
    command.args(["-filter_threads", "1", "-filter_complex_threads", "1"]);
    command.args(["-filter_complex", &format!("{split};{}", scales.join(";")).replace("[s0]scale=1280:720[o0]", "[s0]null[o0]")]);
    for (n, (output, (_, _, bits))) in outputs.iter().zip(RUNGS).enumerate() {
        let bits = bits.to_string();
        command.args(["-map", &format!("[o{n}]"), "-c:v", "libx264", "-threads", "1"]).args(options);
        command.args([
            "-b:v",
            &bits,
            "-maxrate",
            &bits,
            "-bufsize",
            &bits,
            "-g",
            "60",
            "-keyint_min",
            "60",
            "-sc_threshold",
            "0",
        ]);
        command.args(["-f", "h264"]).arg(output);
    }
    succeed(&mut command);
}

/// A picture of one slice per unit: parameter sets go with the slice behind them.
fn units(stream: &[u8]) -> Vec<SourceUnit> {
    let mut units = Vec::new();
    let mut gathered = Vec::new();
    for nal in annex_b_nal_units(stream) {
        gathered.extend_from_slice(&[0, 0, 0, 1]);
        gathered.extend_from_slice(nal);
        if NalType::of(nal).is_some_and(NalType::is_slice) {
            let data: Bytes = annex_b_to_avcc(&std::mem::take(&mut gathered));
            let pts = units.len() as i64 * 90_000 / i64::from(FPS);
            units.push(SourceUnit { pts, key: is_idr(&data), boundary: false, data });
        }
    }
    units
}

fn transcode(source: &Path, outputs: &[PathBuf], profile: Profile) {
    let units = units(&fs::read(source).unwrap());
    assert_eq!(units.len() as u32, SECONDS * FPS);
    let rung = |(width, height, bitrate)| RungSettings { width, height, fit: Fit::Inside, fps: None, bitrate, profile };
    let decoder = decoder_of(Codec::H264).unwrap().unwrap();
    let mut ladder = Ladder::new(decoder, &RUNGS.map(rung), KeyFrames::OfSource).unwrap();
    let mut streams = vec![Vec::new(); RUNGS.len()];
    let mut pictures = Vec::new();
    for unit in &units {
        ladder.push(unit, true, &mut pictures).unwrap();
        for picture in pictures.drain(..) {
            streams[picture.rung].extend_from_slice(&avcc_to_annex_b(&picture.picture.data));
        }
    }
    streams.iter().zip(outputs).for_each(|(stream, output)| fs::write(output, stream).unwrap());
}

fn still_cost(source: &Path) -> f64 {
    let units = units(&fs::read(source).unwrap());
    let mut decoder = decoder_of(Codec::H264).unwrap().unwrap();
    cpu_of(|| units.iter().for_each(|unit| decoder.decode(&unit.data, &mut |_| ()).unwrap()))
}

fn kbps(stream: &Path) -> u64 {
    fs::metadata(stream).unwrap().len() * 8 / u64::from(SECONDS) / 1000
}

fn psnr(output: &Path, source: &Path, width: usize, height: usize) -> String {
    let fps = FPS.to_string();
    let mut command = ffmpeg();
    command.args(["-r", &fps, "-i"]).arg(output).args(["-r", &fps, "-i"]).arg(source);
    let graph = format!("[1:v]scale={width}:{height}:flags=lanczos[reference];[0:v][reference]psnr");
    let said = succeed(command.args(["-lavfi", &graph, "-f", "null", "-"]));
    let line = said.lines().rfind(|line| line.contains("PSNR")).unwrap();
    let value = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name)).unwrap_or("?").to_owned();
    format!("{} (luma {})", value("average:"), value("y:"))
}

/// User and system seconds that this process and its children spend on the work.
fn cpu_of(work: impl FnOnce()) -> f64 {
    let before = cpu();
    work();
    cpu() - before
}

/// /proc/self/stat: fields 14 to 17, counted in hundredths of a second.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    fields.skip(11).take(4).map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}
