package rules_test

import (
	"os"
	"testing"

	"github.com/postmoat/postmoat/pkg/config"
	"github.com/postmoat/postmoat/pkg/rule"
)

func shipped(t testing.TB) ([]rule.Spec, *rule.Set) {
	t.Helper()
	specs, err := config.LoadRules([]string{config.Builtin}, os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	var windows []string
	for _, w := range config.Default().Windows {
		windows = append(windows, w.Name)
	}
	set, err := rule.Compile(specs, windows)
	if err != nil {
		t.Fatal(err)
	}
	return specs, set
}

func TestShippedRulesAreWhole(t *testing.T) {
	specs, set := shipped(t)
	for _, s := range specs {
		switch {
		case len(s.Match) == 0 || len(s.Ignore) == 0:
			t.Errorf("%s: has no example to match or to ignore", s.Name)
		case s.Windows == nil:
			t.Errorf("%s: names no windows", s.Name)
		case !s.Builtin:
			t.Errorf("%s: is not marked as shipped", s.Name)
		case len(s.About) < 60:
			t.Errorf("%s: about says too little", s.Name)
		}
	}
	if idle := set.Idle(); len(idle) != 0 {
		t.Errorf("no window for %v", idle)
	}
	for _, e := range set.CheckSense() {
		t.Error(e)
	}
	for _, e := range set.CheckExamples() {
		t.Error(e.Error())
	}
}

// The rules go on working, as far as they can, when the operator has windows
// of his own.
func TestShippedRulesWithOtherWindows(t *testing.T) {
	specs, _ := shipped(t)
	set, err := rule.Compile(specs, []string{"burst"})
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Rules()) == 0 || len(set.Idle()) == 0 {
		t.Errorf("%d rules, idle %v", len(set.Rules()), set.Idle())
	}
}
