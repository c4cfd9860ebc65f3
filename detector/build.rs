//! Says which BPF object is embedded: the committed one, or the one that
//! `TRUNCWATCH_BPF_OBJECT` names (for distributions that build it themselves).

fn main() {
    println!("cargo::rerun-if-env-changed=TRUNCWATCH_BPF_OBJECT");
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/bpf/truncwatch.bpf.o");
    let object = std::env::var("TRUNCWATCH_BPF_OBJECT").unwrap_or_else(|_| committed.to_owned());
    println!("cargo::rerun-if-changed={object}");
    println!("cargo::rustc-env=TRUNCWATCH_BPF_OBJECT={object}");
}
