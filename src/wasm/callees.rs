//! What functions call that nobody recorded: those of an extension.
//!
//! An extension calls some functions of CPython and of the C library that neither start-up
//! nor any import of the standard library ran. A run without them would trap, and be
//! repeated with all bodies. In a fused module such calls name the function, so those
//! functions are kept as well. That is a question of speed alone, as the profile is.

use crate::wasm::sections;
use anyhow::Result;
use wasmparser::{BinaryReader, FunctionBody, Operator};

/// How many calls deep functions are kept. One is what the extension itself calls, the
/// next what that needs. Deeper, most of CPython is within reach, its errors above all.
const DEPTH: usize = 2;

/// Adds what the functions `callers` of `module` call to `kept`, which tells of each
/// defined function whether it stays.
///
/// # Errors
/// When the module is malformed.
pub(crate) fn keep(module: &[u8], mut callers: Vec<usize>, kept: &mut [bool]) -> Result<()> {
    let Some(code) = sections::code(module)? else {
        return Ok(());
    };
    let ranges = sections::bodies(code)?;
    let imported = sections::imported_functions(&sections::parse(module)?.1)?;
    for _ in 0..DEPTH {
        let mut added = Vec::new();
        for caller in callers {
            let body = FunctionBody::new(BinaryReader::new(&code[ranges[caller].clone()], 0));
            let mut operators = body.get_operators_reader()?;
            while !operators.eof() {
                let (Operator::Call { function_index }
                | Operator::ReturnCall { function_index }
                | Operator::RefFunc { function_index }) = operators.read()?
                else {
                    continue;
                };
                let callee = function_index.checked_sub(imported).map(|f| f as usize);
                let kept = callee.and_then(|callee| Some((callee, kept.get_mut(callee)?)));
                if let Some((callee, kept @ false)) = kept {
                    *kept = true;
                    added.push(callee);
                }
            }
        }
        callers = added;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_calls_deep_what_they_name_is_kept() {
        let module = wat::parse_str(
            r#"(module
                (import "m" "f" (func $imported))
                (table 1 funcref)
                (elem declare func $named)
                (func $extension call $imported call $first ref.func $named drop)
                (func $first call $second)
                (func $second call $third)
                (func $third)
                (func $named)
                (func $other call $third))"#,
        )
        .unwrap();
        let mut kept = vec![true, false, false, false, false, false];
        keep(&module, vec![0], &mut kept).unwrap();
        assert_eq!(kept, [true, true, true, false, true, false]);
    }
}
