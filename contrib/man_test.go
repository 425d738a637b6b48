package contrib_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postmoat/postmoat/pkg/config"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/rule"
)

const (
	configPage = "man/postmoat.yaml.5"
	rulesPage  = "man/postmoat-rules.5"
)

// entries are the keys that a page explains, in order, each with its default,
// "" where it gives none.
func entries(t *testing.T, page string) (keys []string, defaults map[string]string) {
	t.Helper()
	defaults = map[string]string{}
	item := regexp.MustCompile(`^\.It Ic (\S+)$`)
	value := regexp.MustCompile(`^Default: (.+)\.$`)
	section := 0 // where it begins in keys
	for line := range strings.SplitSeq(read(t, page), "\n") {
		if strings.HasPrefix(line, ".Sh ") {
			section = len(keys)
		}
		if m := item.FindStringSubmatch(line); m != nil {
			if slices.Contains(keys[section:], m[1]) {
				t.Errorf("%s: %s is explained twice", page, m[1])
			}
			keys = append(keys, m[1])
		} else if m := value.FindStringSubmatch(line); m != nil && len(keys) > 0 {
			defaults[keys[len(keys)-1]] = m[1]
		}
	}
	if len(keys) == 0 {
		t.Fatalf("%s: no keys were found", page)
	}
	return keys, defaults
}

// known are the keys that files of pkg/config read, without those above them.
func known(t *testing.T, files ...string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("../pkg/config", file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if name, ok := lit.Type.(*ast.Ident); !ok || name.Name != "fields" {
				return true
			}
			for _, e := range lit.Elts {
				key, err := strconv.Unquote(e.(*ast.KeyValueExpr).Key.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				all[key] = true
			}
			return true
		})
	}
	return all
}

func last(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// sameKeys compares the last parts of the keys of a page with what is read.
// Mappings that hold nothing but what is explained by itself need no entry.
func sameKeys(t *testing.T, page string, keys []string, want map[string]bool) {
	t.Helper()
	for _, k := range keys {
		for _, part := range strings.Split(k, ".") {
			if part != "NAME" && !want[part] {
				t.Errorf("%s: explains %s, and there is no key %q", page, k, part)
			}
		}
	}
	for k := range want {
		if !slices.ContainsFunc(keys, func(x string) bool {
			return last(x) == k || strings.HasPrefix(x, k+".") || strings.Contains(x, "."+k+".")
		}) {
			t.Errorf("%s: says nothing of the key %q", page, k)
		}
	}
}

// TestConfigPage: postmoat.yaml(5) explains each key, and no other, and the
// defaults it gives are the defaults.
func TestConfigPage(t *testing.T) {
	keys, defaults := entries(t, configPage)
	sameKeys(t, configPage, keys, known(t, "sections.go", "windows.go"))
	if len(defaults) < 25 {
		t.Errorf("only %d defaults", len(defaults))
	}
	for _, k := range keys {
		value, given := defaults[k]
		inside := strings.HasPrefix(k, "sources.") || strings.HasPrefix(k, "windows.NAME") || k == "collapse.ipv4" || k == "collapse.ipv6"
		if given == inside {
			t.Errorf("%s: default given: %v", k, given)
		}
		if !given {
			continue
		}
		text := value
		for _, part := range slices.Backward(strings.Split(k, ".")) {
			text = "{" + part + ": " + text + "}"
		}
		file := filepath.Join(t.TempDir(), "postmoat.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := config.Load(file)
		if err != nil {
			t.Errorf("%s: %v", k, err)
			continue
		}
		if diff := cmp.Diff(config.Default(), got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
			cmp.Comparer(func(a, b *time.Location) bool { return a == b }), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(config.Config{}, "At")); diff != "" {
			t.Errorf("%s: %s is not the default:\n%s", k, value, diff)
		}
	}
}

// TestRulesPage: postmoat-rules(5) explains each key and each field, and lists
// each kind, stage and reason that a rule may name.
func TestRulesPage(t *testing.T) {
	keys, _ := entries(t, rulesPage)
	i := slices.Index(keys, "kind")
	if i < 0 {
		t.Fatal("no field kind")
	}
	rules := known(t, "rules.go")
	delete(rules, "rules") // explained in the text
	sameKeys(t, rulesPage, keys[:i], rules)
	if !maps.Equal(setOf(keys[i:]), setOf(fieldNames(t))) {
		t.Errorf("fields (-there are +explained):\n%s", cmp.Diff(setOf(fieldNames(t)), setOf(keys[i:])))
	}
	sameWords(t, "KINDS", kinds())
	sameWords(t, "STAGES", words(maillog.NumStages))
	sameWords(t, "REASONS", words(maillog.NumReasons))
}

func setOf(list []string) map[string]bool {
	set := map[string]bool{}
	for _, s := range list {
		set[s] = true
	}
	return set
}

// fieldNames are the fields of when, as the error about a wrong one lists them.
func fieldNames(t *testing.T) []string {
	_, err := rule.Compile([]rule.Spec{{Name: "x", Weight: 1, When: []rule.Cond{{Field: "qqqqqqqqqqqqqqqq", Values: []string{"x"}}}}}, []string{"burst"})
	if err == nil {
		t.Fatal("a field that is none was taken")
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	_, list, ok := strings.Cut(line, "write one of ")
	if !ok {
		t.Fatalf("the error lists no fields: %v", err)
	}
	return strings.Split(list, ", ")
}

// kinds are those that a rule may name.
func kinds() (all []string) {
	for _, k := range words(maillog.NumKinds) {
		spec := rule.Spec{Name: "x", Weight: 1, When: []rule.Cond{{Field: "kind", Values: []string{k}}}}
		if _, err := rule.Compile([]rule.Spec{spec}, []string{"burst"}); err == nil {
			all = append(all, k)
		}
	}
	return all
}

func words[T interface {
	~uint8
	String() string
}](n T) (all []string) {
	for i := range n {
		if s := i.String(); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// sameWords compares the lists of a section of the page with what there is.
func sameWords(t *testing.T, section string, want []string) {
	t.Helper()
	_, text, ok := strings.Cut(read(t, rulesPage), ".Sh "+section+"\n")
	if !ok || len(want) == 0 {
		t.Fatalf("no section %s, or nothing to compare it with", section)
	}
	text, _, _ = strings.Cut(text, "\n.Sh ")
	var list []string
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, ".") {
			list = append(list, "")
			continue
		}
		list = append(list, line)
	}
	got := map[string]bool{}
	for group := range strings.SplitSeq(strings.Join(list, " "), ".  ") {
		for w := range strings.SplitSeq(strings.Trim(group, " ."), ", ") {
			got[strings.TrimSpace(w)] = true
		}
	}
	if diff := cmp.Diff(setOf(want), got); diff != "" {
		t.Errorf("%s (-there are +listed):\n%s", section, diff)
	}
}

// TestPageExamples: the examples of the pages work as they stand.
func TestPageExamples(t *testing.T) {
	literal := regexp.MustCompile(`(?s)\.Bd -literal[^\n]*\n(.*?)\.Ed`)
	rules, configs := 0, 0
	for _, page := range []string{configPage, rulesPage} {
		for _, m := range literal.FindAllStringSubmatch(read(t, page), -1) {
			file := filepath.Join(t.TempDir(), "x.yaml")
			if err := os.WriteFile(file, []byte(m[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			switch {
			case strings.HasPrefix(m[1], "postmoat "): // a command
			case page == configPage:
				configs++
				if _, err := config.Load(file); err != nil {
					t.Error(err)
				}
			default:
				rules++
				paths := []string{file}
				if strings.Contains(m[1], "enabled: false") {
					paths = []string{"../rules", file}
				}
				specs, err := config.LoadRules(paths, nil)
				if err != nil {
					t.Error(err)
					continue
				}
				set, err := rule.Compile(specs, []string{"burst", "day", "spray"})
				if err != nil {
					t.Error(err)
					continue
				}
				for _, wrong := range set.CheckExamples() {
					t.Error(wrong.Error())
				}
			}
		}
	}
	if rules < 3 || configs < 2 {
		t.Errorf("only %d examples of rules and %d of configurations were found", rules, configs)
	}
}

// TestPagesLint: mandoc and groff find no fault with them.
func TestPagesLint(t *testing.T) {
	for _, lint := range [][]string{{"mandoc", "-Tlint", "-Wwarning"}, {"groff", "-mandoc", "-ww", "-z"}} {
		t.Run(lint[0], func(t *testing.T) {
			need(t, lint[0])
			for _, page := range []string{configPage, rulesPage} {
				if out, err := exec.Command(lint[0], append(lint[1:], page)...).CombinedOutput(); err != nil || len(out) > 0 {
					t.Errorf("%s: %v\n%s", page, err, out)
				}
			}
		})
	}
}
