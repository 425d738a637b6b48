package main

import "testing"

// TestForArgs: with the others left out a command is the same.
func TestForArgs(t *testing.T) {
	for _, whole := range root().Commands() {
		name := whole.Name()
		if name == "completion" {
			continue
		}
		one := forArgs([]string{name, "x"})
		if n := len(one.Commands()); name != "man" && n != 1 {
			t.Errorf("%s: %d commands were made", name, n)
		}
		c, rest, err := one.Find([]string{name, "x"})
		if err != nil || c.Name() != name || len(rest) != 1 {
			t.Errorf("%s: found %s %v %v", name, c.Name(), rest, err)
		}
		if c.UsageString() != whole.UsageString() || c.CommandPath() != whole.CommandPath() {
			t.Errorf("%s: usage\n%s\nis\n%s", name, whole.UsageString(), c.UsageString())
		}
	}
	all := len(root().Commands())
	for _, args := range [][]string{nil, {"--help"}, {"help", "ban"}, {"nonsense"}, {"__complete", "ban"}, {"man"}} {
		if n := len(forArgs(args).Commands()); n != all {
			t.Errorf("%q: %d commands of %d", args, n, all)
		}
	}
}
