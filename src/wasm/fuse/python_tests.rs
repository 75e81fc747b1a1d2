use super::tests::fused_of;
use crate::testing::Workbench;

#[test]
fn python_starts_and_is_restored() {
    for version in ["0.5.0", "0.14.0"] {
        let mut bench = Workbench::new(version);
        bench.linked = fused_of(&bench.linked);
        let scripts = [
            "print(6 * 7)",
            "import json\nprint(json.dumps([1, {'a': 2.5}]))",
        ];
        let restored = bench.snapshots(&[(&["json", "re"], &[])]).remove(0);
        let results = restored.execute(0, &scripts);
        eprintln!("{version} {results:?}");
    }
}
