package cover

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A mutant is the package with one mistake in it.
type mutant struct{ name, file, right, wrong string }

var mutants = []mutant{
	{"need: one fewer is enough", "solver.go", "case members < r.Need:", "case members < r.Need-1:"},
	{"need: one more is needed", "solver.go", "case members < r.Need:", "case members <= r.Need:"},
	{"need: the first look asks for too many", "solver.go", "s.least = o.Rungs[0].Need", "s.least = o.Rungs[0].Need + 1"},
	{"need: that of the widest rung for all", "solver.go", "if s.rung[l] < 0 {", "if s.rung[l] < 64 {"},
	{"cost: offenders count as innocent", "solver.go", "- int64(members)", "- int64(0*members)"},
	{"cost: a prefix is free", "solver.go", "return s.price + int64(1)<<", "return 0*s.price + int64(1)<<"},
	{"cost: the left half is forgotten", "solver.go", "top.sum = min(top.sum+cur.sum, ceiling)", "top.sum = min(cur.sum, ceiling)"},
	{"tie: stays apart", "solver.go", "cost <= top.sum", "cost < top.sum"},
	{"interval: a half may be as wide as the whole", "solver.go", "if r.Bits < s.floor {", "if r.Bits < s.floor-1 {"},
	{"interval: nodes at the widest rung stay open", "solver.go", "case common < floor:", "case common <= floor:"},
	{"interval: nodes are shut too early", "solver.go", "s.stack[s.open-1].bits) > length", "s.stack[s.open-1].bits) > length-2"},
	{"off rung: beside a rung", "solver.go", "\t\treturn r.Bits\n", "\t\treturn bits\n"},
	{"off rung: where a rung is too empty", "solver.go", "case members < r.Need:\n\t\treturn 0", "case members < r.Need:\n\t\treturn bits"},
	{"off rung: never", "solver.go", "return bits // the rung", "return 0 // the rung"},
	{"veto: not in a rung", "solver.go", "case len(s.vetoes) == 0 || s.vetoed(k, r.Bits) < 0:", "case true:"},
	{"veto: not off a rung", "solver.go", "case r.Bits < bits && s.vetoed(k, bits) < 0:", "case r.Bits < bits:"},
	{"veto: its first key is not in it", "solver.go", "s.vetoes[i].First <= first|span", "s.vetoes[i].First < first|span"},
	{"veto: its last key is not in it", "solver.go", "return s.vetoes[i].Last >= k", "return s.vetoes[i].Last > k"},
	{"veto: offenders in it are covered", "solver.go", "s.vetoes[v].First <= k {\n\t\t\t\tcontinue", "s.vetoes[v].First <= k && false {\n\t\t\t\tcontinue"},
	{"stack: the pieces of a half stay", "solver.go", "append(out[:top.out], ", "append(out, "},
	{"stack: the members of the right half only", "solver.go", "Lo: top.lo, Hi:", "Lo: cur.lo, Hi:"},
	{"stack: a dropped offender is a member", "solver.go", "out, cur = s.shut(out, cur, common, end)", "out, cur = s.shut(out, cur, common, i)"},
	{"budget: nearly the lowest price", "budget.go", "high-low > 1", "high-low > 2"},
	{"budget: the last entry is not spent", "budget.go", "st.entries <= left", "st.entries < left"},
	{"budget: one piece too many", "budget.go", "uint64(budget-len(s.out)), s.steps", "uint64(budget-len(s.out)+1), s.steps"},
	{"budget: the least saved first", "budget.go", "cmp.Or(-compareRatio(a, b)", "cmp.Or(compareRatio(a, b)"},
	{"why: the piece counts as its own parts", "why.go", "s.keys[p.Hi-1]) + 1", "s.keys[p.Hi-1])"},
	{"why: any veto", "why.go", "p.Key-s.vetoes[i-1].Last <= s.vetoes[i].First-end", "0 <= s.vetoes[i].First-end"},
}

// TestMutants puts each mistake into a copy of the package and demands that the
// tests against the twins find it. It starts a compiler for each and takes a
// minute:
//
//	POSTMOAT_MUTANTS=1 go test -run TestMutants -v ./pkg/cover
func TestMutants(t *testing.T) {
	if os.Getenv("POSTMOAT_MUTANTS") == "" {
		t.Skip("set POSTMOAT_MUTANTS=1 to run it")
	}
	if out, err := testMutant(t, mutant{file: "solver.go"}); err != nil {
		t.Fatalf("the package without a mistake fails: %v\n%s", err, out)
	}
	killed := 0
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			switch out, err := testMutant(t, m); {
			case err == nil:
				t.Error("no test finds it")
			case strings.Contains(out, "[build failed]"):
				t.Errorf("it does not compile\n%s", out)
			default:
				killed++
			}
		})
	}
	t.Logf("%d of %d mutants killed", killed, len(mutants))
}

func testMutant(t *testing.T, m mutant) (string, error) {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if name == "mutate_test.go" {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if name == m.file && m.right != "" {
			if n := strings.Count(string(text), m.right); n != 1 {
				t.Fatalf("%s has %q %d times, want once: bring the mutant up to date", name, m.right, n)
			}
			text = []byte(strings.Replace(string(text), m.right, m.wrong, 1))
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module mutant\n\ngo 1.26\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-short", "-failfast", "-timeout", "60s", "-run", "Twin|Budget", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
