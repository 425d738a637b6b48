package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/postmoat/postmoat/pkg/rule"
)

// What is wrong with a rule file shows in one go, whether it is its form or
// what it means.
func TestRuleMistakes(t *testing.T) {
	mistakes(t, "badrules", func(name string, text []byte) error {
		specs, err := LoadRules([]string{Builtin}, fstest.MapFS{name: {Data: text}})
		for i := range specs {
			specs[i].Builtin = false
		}
		_, meaning := rule.Compile(specs, []string{"burst", "day"})
		return errors.Join(err, meaning)
	})
}

func names(specs []rule.Spec) string {
	var out []string
	for _, s := range specs {
		n := s.Name
		if s.Builtin {
			n += "*"
		}
		if s.Disabled {
			n = "-" + n
		}
		out = append(out, n)
	}
	return strings.Join(out, " ")
}

func ruleFile(names ...string) string {
	text := "rules:\n"
	for _, n := range names {
		off := ""
		if n[0] == '-' {
			n, off = n[1:], ", enabled: false"
		}
		text += "  - {name: " + n + ", when: {kind: smtpd.reject}, weight: 1" + off + "}\n"
	}
	return text
}

func TestLoadRules(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"d/20-b.yaml": ruleFile("own", "b"), "d/10-a.yml": ruleFile("first", "-c"), "d/notes.txt": "x: [", "d/.hidden.yaml": "x: [",
		"d/30-empty.yaml": "", "one.yaml": ruleFile("first", "last"),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	builtin := fstest.MapFS{"x.yaml": {Data: []byte(ruleFile("c"))}, "a.yaml": {Data: []byte(ruleFile("a", "b"))}, "rules.go": {}}
	for _, c := range []struct {
		paths []string
		want  string
	}{
		{[]string{Builtin}, "a* b* c*"},
		{[]string{filepath.Join(dir, "d")}, "first -c own b"},
		{[]string{Builtin, filepath.Join(dir, "d"), filepath.Join(dir, "one.yaml")}, "a* b -c first own last"},
		{[]string{filepath.Join(dir, "d"), Builtin}, "first c* own b* a*"},
		{[]string{Builtin, DefaultRules}, "a* b* c*"}, // need not be there
		{nil, ""},
	} {
		specs, err := LoadRules(c.paths, builtin)
		if got := names(specs); err != nil || got != c.want {
			t.Errorf("%v: %q, %v; want %q", c.paths, got, err, c.want)
		}
	}
}

func TestLoadRulesMissing(t *testing.T) {
	specs, err := LoadRules([]string{"/nonexistent/rules.d", Builtin}, fstest.MapFS{"a.yaml": {Data: []byte(ruleFile("a"))}})
	if !errors.Is(err, os.ErrNotExist) || names(specs) != "a*" {
		t.Errorf("%v, %v", specs, err)
	}
	if _, err := LoadRules([]string{Builtin}, nil); err == nil {
		t.Error("no builtin rules and no error")
	}
}

func TestRuleIsReadWhole(t *testing.T) {
	specs, err := parseRules("r.yaml", []byte(`rules:
  - name: x
    about: text
    when:
      kind: [smtpd.reject, smtpd.hold]
      sender: ""
      code: 550
    weight: 7
    windows: [day]
    per: session
    distinct: recipient
    times: auth_failed
    door: login
    examples:
      match: ["a line"]
      ignore:
        - "another"
`))
	if err != nil {
		t.Fatal(err)
	}
	s := specs[0]
	pos := func(line int) rule.Pos { return rule.Pos{File: "r.yaml", Line: line} }
	if s.Name != "x" || s.About != "text" || s.Weight != 7 || s.Per != "session" || s.Distinct != "recipient" ||
		s.Times != "auth_failed" || s.Door != "login" || !slices.Equal(s.Windows, []string{"day"}) || s.Pos != pos(2) || s.At["weight"] != pos(8) {
		t.Errorf("%+v", s)
	}
	if len(s.When) != 3 || !slices.Equal(s.When[0].Values, []string{"smtpd.reject", "smtpd.hold"}) || s.When[1].Values[0] != "" ||
		s.When[2].Values[0] != "550" || s.When[2].Pos != pos(7) {
		t.Errorf("%+v", s.When)
	}
	if s.Match[0] != (rule.Example{Text: "a line", Pos: pos(15)}) || s.Ignore[0] != (rule.Example{Text: "another", Pos: pos(17)}) {
		t.Errorf("%+v %+v", s.Match, s.Ignore)
	}
}

func FuzzRules(f *testing.F) {
	f.Add([]byte(ruleFile("a", "-b")))
	for _, glob := range []string{"testdata/badrules/*.yaml", "../../rules/*.yaml"} {
		files, _ := filepath.Glob(glob)
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil {
				f.Add(text)
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		specs, err := LoadRules([]string{Builtin}, fstest.MapFS{"x.yaml": {Data: text}})
		set, meaning := rule.Compile(specs, []string{"burst", "day", "spray"})
		if (set == nil) == (meaning == nil) {
			t.Errorf("set %v, error %v, %v", set, meaning, err)
		}
	})
}
