//! What Python sees of its host: what it was given, and nothing else.

use crate::prepared::BOTH;
use eryx_preinit::Error;
use std::fs;

#[tokio::test]
async fn folders_are_mounted_with_their_permissions() {
    for runtime in BOTH {
        let dir = tempfile::tempdir().unwrap();
        for name in ["read", "write"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("file"), name).unwrap();
        }
        let builder = runtime.python().sandbox();
        let builder = builder
            .mount(dir.path().join("read"), "/read")
            .mount_writable(dir.path().join("write"), "/write");
        let mut sandbox = builder.build().await.unwrap();
        let code = "
import os
print(open('/read/file').read(), open('/write/file').read())
open('/write/new', 'w').write('from Python')
os.remove('/write/file')
for path in ['/read/new', '/python-stdlib/os.py', '/elsewhere']:
    try:
        open(path, 'w')
        print(path)
    except OSError:
        pass
";
        assert_eq!(
            sandbox.execute(code).await.unwrap().stdout,
            "read write\n",
            "{runtime:?}"
        );
        let new = fs::read_to_string(dir.path().join("write/new")).unwrap();
        assert_eq!(new, "from Python");
        assert!(!dir.path().join("write/file").exists());
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    for runtime in BOTH {
        let builder = runtime.python().sandbox().mount("/no/such/folder", "/data");
        let error = builder.build().await.err().unwrap();
        assert!(matches!(error, Error::Mount { .. }));
        let text = format!("{error:?}");
        assert!(text.contains("`/no/such/folder` at /data"), "{text}");
    }
}

#[tokio::test]
async fn modules_outside_the_snapshot_come_from_the_standard_library() {
    for runtime in BOTH {
        let mut sandbox = runtime.python().sandbox().build().await.unwrap();
        let output = sandbox
            .execute("import colorsys; print(colorsys.__file__)")
            .await
            .unwrap();
        let expected = "/python-stdlib/colorsys.py";
        assert!(output.stdout.contains(expected), "{runtime:?}: {output:?}");
        assert!(runtime.stdlib().join("colorsys.py").is_file());
    }
}

#[tokio::test]
async fn input_is_what_was_given() {
    for runtime in BOTH {
        let builder = runtime.python().sandbox().stdin("one\ntwo\n");
        let mut sandbox = builder.build().await.unwrap();
        let code = "import sys; print([input(), sys.stdin.read()])";
        let output = sandbox.execute(code).await.unwrap();
        assert_eq!(output.stdout, "['one', 'two\\n']\n", "{runtime:?}");
        let mut without = runtime.python().sandbox().build().await.unwrap();
        let output = without
            .execute("import sys; print([sys.stdin.read()])")
            .await
            .unwrap();
        assert_eq!(output.stdout, "['']\n", "{runtime:?}");
    }
}

#[tokio::test]
async fn the_environment_is_what_was_given() {
    for runtime in BOTH {
        let builder = runtime.python().sandbox();
        let builder = builder.env("GREETING", "hällo").env("EMPTY", "");
        let mut sandbox = builder.build().await.unwrap();
        let code = "
import os
assert os.environ['GREETING'] == os.getenv('GREETING') == 'hällo'
result = sorted(os.environ)
";
        let output = sandbox.execute(code).await.unwrap();
        let expected = eryx_preinit::json!(["EMPTY", "GREETING"]);
        assert_eq!(output.result, Some(expected), "{runtime:?}");
        let mut without = runtime.python().sandbox().build().await.unwrap();
        let output = without
            .execute("import os\nresult = dict(os.environ)")
            .await
            .unwrap();
        assert_eq!(output.result, Some(eryx_preinit::json!({})), "{runtime:?}");
    }
}
