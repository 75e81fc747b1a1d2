//! Recording the profiles: which functions of the base libraries run.
//!
//! Every function gets a prologue that sets its byte in a memory of its own,
//! which wizer's snapshot then shows like any other memory.
//!
//! To record again, when a runtime with other libraries ships:
//!
//! ```text
//! ERYX_PREINIT_RECORD=/path/to/eryx-runtime-0.5.0:/path/to/eryx-runtime-0.14.0 \
//!     cargo test --release --lib record_profiles -- --ignored
//! ```

use super::*;
use crate::config::Config;
use crate::guest::engine::{self, Compiler};
use crate::guest::environment::SITE_PACKAGES;
use crate::guest::host::{self, GuestSetup};
use crate::guest::script::Script;
use crate::guest::snapshot;
use crate::inputs::runtime;
use crate::inputs::stdlib;
use crate::inputs::walk::tree;
use crate::packages::bytecode::{Mount, Source};
use crate::packages::embed::{self, Selection};
use crate::testing::native;
use crate::wasm::complete;
use crate::wasm::{initialize, link};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
use wasm_encoder::reencode::utils as reencode;
use wasm_encoder::{MemorySection, MemoryType};
use wasmparser::{DataKind, MemorySectionReader};

/// Sections that come after the memory section.
fn after_memory(section: u8) -> bool {
    !matches!(section, 0..=module_id::MEMORY)
}

/// The index the coverage memory has, or will have, in a module.
fn memories(module: &[u8]) -> Result<u32> {
    let mut count = 0;
    for payload in wasmparser::Parser::new(0).parse_all(module) {
        match payload? {
            wasmparser::Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    if matches!(import?.ty, wasmparser::TypeRef::Memory(_)) {
                        count += 1;
                    }
                }
            }
            wasmparser::Payload::MemorySection(memories) => count += memories.count(),
            _ => {}
        }
    }
    Ok(count)
}

/// Adds the coverage memory and the prologues.
fn with_coverage(component: &[u8]) -> Result<Vec<u8>> {
    sections::map_core_modules(component, &mut |_, module| {
        let (encoding, sections) = sections::parse(module)?;
        let Some(code) = sections.iter().find(|section| section.id == id::CODE) else {
            return Ok(None);
        };
        // wizer adds to an export section, but does not make one.
        if !sections
            .iter()
            .any(|section| section.id == module_id::EXPORT)
        {
            return Ok(None);
        }
        let memory = memories(module)?;
        let pages = u64::from(function_count(code.data)?.div_ceil(1 << 16));
        let mut out = encoding.header().to_vec();
        let mut pending = true;
        for section in &sections {
            if pending && (section.id == module_id::MEMORY || after_memory(section.id)) {
                let mut new = MemorySection::new();
                if section.id == module_id::MEMORY {
                    let reader = MemorySectionReader::new(BinaryReader::new(section.data, 0))?;
                    reencode::parse_memory_section(
                        &mut wasm_encoder::reencode::RoundtripReencoder,
                        &mut new,
                        reader,
                    )?;
                }
                new.memory(MemoryType {
                    minimum: pages,
                    maximum: None,
                    memory64: false,
                    shared: false,
                    page_size_log2: None,
                });
                let mut payload = Vec::new();
                new.encode(&mut payload);
                // The section encodes its own size in front.
                let mut reader = BinaryReader::new(&payload, 0);
                reader.read_var_u32()?;
                sections::push(
                    &mut out,
                    module_id::MEMORY,
                    &payload[reader.original_position()..],
                );
                pending = false;
                if section.id == module_id::MEMORY {
                    continue;
                }
            }
            if section.id == id::CODE {
                sections::push(&mut out, id::CODE, &prologues(section.data, memory)?);
            } else {
                sections::push(&mut out, section.id, section.data);
            }
        }
        Ok(Some(out))
    })
}

fn prologues(code: &[u8], memory: u32) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let ranges = bodies(code)?;
    ranges.len().encode(&mut out);
    for (function, range) in ranges.into_iter().enumerate() {
        let body = &code[range];
        let mut locals = FunctionBody::new(BinaryReader::new(body, 0)).get_locals_reader()?;
        for _ in 0..locals.get_count() {
            locals.read()?;
        }
        let split = locals.original_position();
        let mut new = body[..split].to_vec();
        new.push(0x41); // i32.const: the function
        i32::try_from(function)?.encode(&mut new);
        new.extend([0x41, 1]); // i32.const 1
        new.extend([0x3a, 0x40]); // i32.store8, with an explicit memory
        memory.encode(&mut new);
        new.push(0); // offset
        new.extend(&body[split..]);
        new.len().encode(&mut out);
        out.extend(new);
    }
    Ok(out)
}

/// The functions a snapshot's coverage memories name, by module.
fn covered(snapshot: &[u8], original: &[u8]) -> Result<Vec<Vec<usize>>> {
    let mut all = Vec::new();
    for (module, original) in sections::core_modules(snapshot)?
        .into_iter()
        .zip(sections::core_modules(original)?)
    {
        let memory = memories(original)?;
        let mut functions = Vec::new();
        let data = sections::parse(module)?
            .1
            .into_iter()
            .find(|section| section.id == module_id::DATA);
        if let Some(data) = data {
            for segment in wasmparser::DataSectionReader::new(BinaryReader::new(data.data, 0))? {
                let segment = segment?;
                if let DataKind::Active {
                    memory_index,
                    offset_expr,
                } = segment.kind
                    && memory_index == memory
                {
                    let Operator::I32Const { value } = offset_expr.get_operators_reader().read()?
                    else {
                        anyhow::bail!("wizer writes constant offsets");
                    };
                    let set = segment
                        .data
                        .iter()
                        .enumerate()
                        .filter(|(_, byte)| **byte != 0);
                    functions.extend(set.map(|(at, _)| value as usize + at));
                }
            }
        }
        all.push(functions);
    }
    Ok(all)
}

/// Runs `scripts` in `component`, and has it compile `sources`; what ran.
pub(super) fn run(
    component: &[u8],
    [stdlib, site_packages]: [&Path; 2],
    archive: Option<&[u8]>,
    scripts: &[String],
    sources: &[Source],
    finalize: bool,
) -> Vec<Vec<usize>> {
    let counting = with_coverage(component).unwrap();
    let bare = complete::bare(&counting).unwrap();
    let instrumented = snapshot::instrument(&bare, &counting).unwrap();
    let code = runnable(&instrumented.skeleton, &counting, Bodies::All).unwrap();
    let engine = engine::engine(Compiler::Winch).unwrap();
    let compiled = snapshot::compile(&engine, Compiler::Winch, &code).unwrap();
    let taken = snapshot::record(
        &instrumented,
        &compiled,
        &guest_setup(stdlib, site_packages),
        archive,
        scripts,
        sources,
        finalize.then_some(&FAILING[..]),
    )
    .unwrap_or_else(|failure| panic!("{:?}", failure.into_error()));
    let snapshot = complete::completed(&taken.component, &counting, &taken.images).unwrap();
    covered(&snapshot, component).unwrap()
}

fn guest_setup<'a>(stdlib: &'a Path, site_packages: &'a Path) -> GuestSetup<'a> {
    GuestSetup {
        environment: crate::guest::environment::BUILD,
        stdlib,
        site_packages,
        epoch_seconds: host::DEFAULT_EPOCH_SECONDS,
        seed: [7; 32],
        memory_limit: 2 << 30,
        scratch: stdlib.parent().unwrap_or(stdlib),
    }
}

/// What goes wrong while a snapshot is made, and has to be reported.
const FAILING: [&str; 4] = [
    "import not_there",
    "a b",
    "raise ValueError('x') from OSError(2)",
    "print(compile, repr(OSError))\nraise ImportError('x')",
];

/// What packages are likely to be: modules of the standard library, syntax that it has
/// little of, and files that are sources by their names only.
fn sources(stdlib: &Path, site_packages: &Path) -> Vec<Source> {
    let folder = site_packages.join("sources");
    fs::create_dir(&folder).unwrap();
    let modules = tree(stdlib).unwrap();
    let modules = modules
        .into_iter()
        .filter(|path| path.extension() == Some("py".as_ref()));
    for (number, module) in modules.step_by(4).enumerate() {
        fs::copy(module, folder.join(format!("m{number}.py"))).unwrap();
    }
    fs::write(folder.join("syntax.py"), include_str!("syntax.py")).unwrap();
    let deep = format!("x = {}1{}\n", "(".repeat(300), ")".repeat(300));
    let whole = [
        "x = 1\0\n",
        "# -*- coding: no-such -*-\n",
        "# -*- coding: latin-1 -*-\nx = 'e'\n",
        "\u{feff}x = 'é'\r\ny = 1\r",
        &deep,
        "",
    ];
    // A line each, with a sign for the ends of its own lines.
    let lines = include_str!("broken.txt").lines();
    let lines = lines.map(|line| line.replace('⏎', "\n") + "\n");
    for (number, text) in whole
        .map(str::to_owned)
        .into_iter()
        .chain(lines)
        .enumerate()
    {
        fs::write(folder.join(format!("broken{number}.py")), text).unwrap();
    }
    let mount = Mount {
        folder: site_packages,
        guest_path: SITE_PACKAGES,
    };
    mount.without_bytecode().unwrap()
}

/// What a snapshot is likely to run: every importable module of the standard
/// library, and everyday use of the language.
fn start_scripts() -> Vec<String> {
    [
        include_str!("imports.py"),
        include_str!("everyday.py"),
        include_str!("objects.py"),
        include_str!("methods.py"),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// What a restored snapshot is tried with: as few functions as will do, since each
/// costs the first build of a runtime time.
fn execute_scripts() -> Vec<String> {
    ["pass", "pass"].map(str::to_owned).to_vec()
}

fn plain_snapshot(linked: &[u8], stdlib: &Path, imports: &[String]) -> Vec<u8> {
    let bare = complete::bare(linked).unwrap();
    let instrumented = snapshot::instrument(&bare, linked).unwrap();
    let code = runnable(&instrumented.skeleton, linked, Bodies::All).unwrap();
    let engine = engine::engine(Compiler::Winch).unwrap();
    let compiled = snapshot::compile(&engine, Compiler::Winch, &code).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let script = Script {
        trace: false,
        embedded: None,
        imports,
        on_restore: &[],
        setup: None,
        watch: false,
        timeout: Duration::from_secs(60),
    };
    let taken = snapshot::take(
        &instrumented,
        &compiled,
        &guest_setup(stdlib, empty.path()),
        &script,
    );
    let (taken, ..) = taken.unwrap_or_else(|failure| panic!("{:?}", failure.into_error()));
    let bare = initialize::restore_initialize(&taken.component).unwrap();
    complete::completed(&bare, linked, &taken.images).unwrap()
}

/// Extension modules, and the files that Python looks for before it opens them: one in C
/// that is imported in two phases, one that is in one phase and asks for much, and one that
/// asks for next to nothing.
fn extensions(site_packages: &Path) -> Vec<link::Extension> {
    let many = native::compiled(site_packages, "src/wasm/bodies/extension.c");
    let modules = [
        ("cfast", native::compiled_from_c(site_packages).unwrap()),
        ("cmany", many.unwrap()),
        ("few", native::extension("few", 7)),
    ];
    let extensions = modules.map(|(shown, wasm)| {
        let name = format!("{shown}.cpython-314-wasm32-wasi.so");
        fs::write(site_packages.join(&name), []).unwrap();
        link::Extension {
            library: link::Library {
                name: format!("/site-packages/{name}"),
                wasm,
            },
            openable: true,
            shown: shown.to_owned(),
        }
    });
    extensions.into()
}

/// What ran in any of several runs, by module.
fn united(runs: impl IntoIterator<Item = Vec<Vec<usize>>>) -> Vec<Vec<usize>> {
    let unite = |mut all: Vec<Vec<usize>>, more: Vec<Vec<usize>>| {
        for (all, more) in all.iter_mut().zip(more) {
            all.extend(more);
            all.sort();
            all.dedup();
        }
        all
    };
    runs.into_iter().reduce(unite).unwrap_or_default()
}

/// Functions of a module of fewer are not recorded, nor what equals one of them.
const SMALL: usize = 500;

/// Nor are shorter bodies, in bytes: any library may have the same.
const SHORT: usize = 8;

#[test]
#[ignore = "rewrites src/wasm/bodies/profiles.bin; run by hand when a runtime with new libraries ships"]
#[expect(
    clippy::disallowed_methods,
    reason = "a maintainer's switch, not a build's"
)]
fn record_profiles() {
    let packages = std::env::var_os("ERYX_PREINIT_RECORD").expect("ERYX_PREINIT_RECORD is set");
    let stdlib_dir = tempfile::tempdir().unwrap();
    let stdlib = stdlib::unpack_stdlib(stdlib::EMBEDDED_STDLIB, stdlib_dir.path()).unwrap();
    let selection = Selection {
        exclude: &Config::default().embed_exclude,
        sources: true,
        compressed: true,
    };
    let guest_path = crate::guest::environment::STDLIB;
    let archive = embed::archive(&stdlib, guest_path, &selection).unwrap();
    let mut functions = BTreeMap::new();
    let mut kept = Vec::new();
    let site_packages = tempfile::tempdir().unwrap();
    let extensions = extensions(site_packages.path());
    let sources = sources(&stdlib, site_packages.path());
    let all: Vec<_> = std::env::split_paths(&packages)
        .flat_map(|package| [(package.clone(), false), (package, true)])
        .collect();
    for (package, extended) in all {
        let files = runtime::library_files(&package).unwrap();
        let extensions = if extended { &extensions[..] } else { &[] };
        let linked = link::link(&runtime::load(&files, true).unwrap(), extensions).unwrap();
        let folders = [stdlib.as_path(), site_packages.path()];
        let mut scripts = start_scripts();
        if extended {
            scripts.push(include_str!("extension.py").to_owned());
        }
        let imports = &scripts[..1];
        let library = united(
            [None, Some(&archive[..])]
                .map(|archive| run(&linked, folders, archive, imports, &[], true)),
        );
        let start = united([
            run(&linked, folders, None, &scripts, &sources, true),
            run(&linked, folders, Some(&archive), &scripts, &[], true),
            library.clone(),
        ]);
        // What a statement needs differs a little with what was imported.
        let imports = [&[][..], &["json", "re"], &["asyncio", "logging", "random"]];
        let execute = united(imports.map(|imports| {
            let imports: Vec<String> = imports.iter().map(|&s: &&str| s.to_owned()).collect();
            let restored = plain_snapshot(&linked, &stdlib, &imports);
            run(&restored, folders, None, &execute_scripts(), &[], false)
        }));
        let modules = sections::core_modules(&linked).unwrap();
        let ran = start.into_iter().zip(library).zip(execute);
        for (module, ((start, library), execute)) in modules.into_iter().zip(ran) {
            let Some(code) = code(module).unwrap() else {
                continue;
            };
            let digests = profile::digests(module).unwrap();
            // Small modules are quicker to compile than to look up.
            if digests.len() < SMALL {
                kept.extend(digests);
                continue;
            }
            eprintln!(
                "{}: {} functions, {} start, {} library, {} execute",
                package.display(),
                digests.len(),
                start.len(),
                library.len(),
                execute.len()
            );
            for (digest, body) in digests.iter().zip(bodies(code).unwrap()) {
                match body.len() < SHORT {
                    true => kept.push(*digest),
                    false => drop(functions.entry(*digest).or_insert(0)),
                }
            }
            for (ran, flag) in [
                (start, profile::START),
                (library, profile::LIBRARY),
                (execute, profile::EXECUTE),
            ] {
                for function in ran {
                    *functions.entry(digests[function]).or_insert(0) |= flag;
                }
            }
        }
    }
    for digest in kept {
        functions.remove(&digest);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wasm/bodies/profiles.bin");
    fs::write(path, profile::encode(&functions)).unwrap();
}
