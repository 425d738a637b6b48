package contrib_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// scripts are all shell scripts, with the shell that is to read them.
func scripts(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.sh", "nfpm/*", "openrc/*", "rc.d/*", "../.ci/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files: %v", pattern, err)
		}
		for _, f := range files {
			head, _, _ := strings.Cut(read(t, f), "\n")
			switch {
			case strings.HasSuffix(head, "/sh"), strings.HasSuffix(head, "/openrc-run"), strings.HasSuffix(f, ".confd"):
				all[f] = "sh"
			case strings.HasSuffix(head, "/ksh"):
				all[f] = "ksh"
			case strings.HasSuffix(head, "bash"):
				all[f] = "bash"
			case f != "nfpm/copyright":
				t.Errorf("%s: what reads it? %q", f, head)
			}
		}
	}
	return all
}

// TestScripts: a shell can read them, they end at the first error, and
// shellcheck finds nothing.
func TestScripts(t *testing.T) {
	for file, shell := range scripts(t) {
		parse := shell
		if parse == "ksh" {
			parse = "sh" // nothing of ksh is used
		}
		if out, err := exec.Command(parse, "-n", file).CombinedOutput(); err != nil {
			t.Errorf("%s -n %s: %v\n%s", parse, file, err, out)
		}
		head := strings.SplitN(read(t, file), "\n", 2)[0]
		own := head == "#!/bin/sh" && !strings.Contains(file, "rc.d/") || shell == "bash"
		if own && !strings.Contains(read(t, file), "\nset -eu") && !strings.Contains(read(t, file), "\nset -uo pipefail") {
			t.Errorf("%s does not say set -eu", file)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, ".sh") && info.Mode()&0o111 == 0 {
			t.Errorf("%s cannot be run", file)
		}
	}
}

// TestShellcheck finds nothing in any of them.
func TestShellcheck(t *testing.T) {
	need(t, "shellcheck")
	for file, shell := range scripts(t) {
		args := []string{"-s", shell, file}
		if strings.HasSuffix(file, ".confd") {
			args = append([]string{"-e", "SC2034"}, args...)
		}
		if out, err := exec.Command("shellcheck", args...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
}

// TestAppArmor: the profile compiles. Whether it lets the daemon do its work is
// not tested: that takes a kernel with AppArmor.
func TestAppArmor(t *testing.T) {
	need(t, "apparmor_parser")
	output(t, "apparmor_parser", "--skip-kernel-load", "--skip-cache", "apparmor/postmoat")
	bad := filepath.Join(t.TempDir(), "postmoat")
	if err := os.WriteFile(bad, []byte(strings.Replace(read(t, "apparmor/postmoat"), "capability net_admin,", "capability net_everything,", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("apparmor_parser", "--skip-kernel-load", "--skip-cache", bad).CombinedOutput(); err == nil {
		t.Errorf("a profile that is wrong compiles:\n%s", out)
	}
}
