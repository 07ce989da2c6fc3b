//! Compiles the kernel side and generates its skeleton.
#![expect(clippy::print_stderr, reason = "that is how a build script speaks")]

fn main() {
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    println!("cargo:rerun-if-changed=bpf");
    let built = libbpf_cargo::SkeletonBuilder::new()
        .source("bpf/probe.bpf.c")
        .clang_args(["-I", "bpf", "-Wall", "-Werror"])
        .build_and_generate(out.join("probe.skel.rs"));
    if let Err(error) = built {
        // The whole chain: clang's own words are at its end.
        eprintln!("cannot compile bpf/probe.bpf.c (is clang installed?): {error:?}");
        std::process::exit(1);
    }
}
