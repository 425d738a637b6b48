//go:build unix

package contrib_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postmoat/postmoat/pkg/config"
)

// nobody is the user as whom root installs in the tests.
const nobody = 65534

// open is a folder that the user nobody can get into.
func open(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.Chmod(filepath.Dir(folder), 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

// built builds the program and what it writes for an installation.
func built(t *testing.T) (binary, share string) {
	t.Helper()
	need(t, "make", "awk")
	folder := open(t)
	binary, share = filepath.Join(folder, "postmoat"), filepath.Join(folder, "share")
	build := exec.Command("go", "build", "-o", binary, "../cmd/postmoat")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	man := filepath.Join(share, "man8")
	if err := os.MkdirAll(man, 0o755); err != nil {
		t.Fatal(err)
	}
	output(t, binary, "man", man)
	for shell, name := range map[string]string{"bash": "postmoat.bash", "zsh": "_postmoat", "fish": "postmoat.fish"} {
		write(t, filepath.Join(share, name), output(t, binary, "completion", shell))
	}
	awk := exec.Command("awk", "-f", "comment.awk")
	awk.Stdin = strings.NewReader(config.Defaults())
	out, err := awk.Output()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(share, "postmoat.yaml"), string(out))
	return binary, share
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// An installation is a folder into which an ordinary user installs.
type installation struct {
	t             *testing.T
	root          string
	binary, share string
}

func (i installation) make(target string, vars ...string) string {
	i.t.Helper()
	args := append([]string{"-C", "..", "--no-print-directory", target, "DESTDIR=" + i.root, "BINARY=" + i.binary, "SHARE=" + i.share}, vars...)
	cmd := exec.Command("make", args...)
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=") // not those of a make that runs the tests
	if os.Getuid() == 0 && reachable(".") {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		i.t.Fatalf("make %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// reachable says whether the user nobody can work in a folder.
func reachable(folder string) bool {
	cmd := exec.Command("test", "-r", filepath.Join(folder, "install.sh"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd.Run() == nil
}

// tree lists files with their modes, and folders.
func (i installation) tree() map[string]string {
	i.t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(i.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && !d.IsDir() {
			all[strings.TrimPrefix(path, i.root)] = fmt.Sprintf("%o", info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		i.t.Fatal(err)
	}
	return all
}

// TestInstall installs in all the ways there are; the program is built once.
func TestInstall(t *testing.T) {
	binary, share := built(t)
	t.Run("prefix", func(t *testing.T) { testPrefixes(t, binary, share) })
	t.Run("completions", func(t *testing.T) { testCompletions(t, share) })
	t.Run("init", func(t *testing.T) { testOtherSystems(t, binary, share) })
}

// testPrefixes: make install puts everything in its place, without being root,
// leaves what is the operator's, and make uninstall takes the rest away.
func testPrefixes(t *testing.T, binary, share string) {
	for _, prefix := range []string{"/usr/local", "/usr", "/opt/moat"} {
		t.Run(prefix, func(t *testing.T) {
			i := installation{t, open(t), binary, share}
			if os.Getuid() == 0 {
				if err := os.Chown(i.root, nobody, nobody); err != nil {
					t.Fatal(err)
				}
			}
			i.make("install", "PREFIX="+prefix)
			i.check(prefix)

			mine := filepath.Join(i.root, "etc/postmoat/postmoat.yaml")
			rule := filepath.Join(i.root, "etc/postmoat/rules.d/own.yaml")
			write(t, mine, "budget: mine\n")
			write(t, rule, "rules: []\n")
			i.make("install", "PREFIX="+prefix) // an update
			i.make("uninstall", "PREFIX="+prefix)
			if got := read(t, mine); got != "budget: mine\n" {
				t.Errorf("the operator's configuration is now %q", got)
			}
			want := map[string]string{"/etc/postmoat/postmoat.yaml": "644", "/etc/postmoat/rules.d/own.yaml": "644"}
			if diff := cmp.Diff(want, i.tree()); diff != "" {
				t.Errorf("left after make uninstall (-want +got):\n%s", diff)
			}
		})
	}
}

// check looks at a fresh installation.
func (i installation) check(prefix string) {
	t := i.t
	tree := i.tree()
	for path, mode := range map[string]string{
		prefix + "/bin/postmoat":                                     "755",
		prefix + "/lib/systemd/system/postmoat.service":              "644",
		prefix + "/lib/sysusers.d/postmoat.conf":                     "644",
		prefix + "/lib/tmpfiles.d/postmoat.conf":                     "644",
		prefix + "/share/man/man5/postmoat.yaml.5":                   "644",
		prefix + "/share/man/man5/postmoat-rules.5":                  "644",
		prefix + "/share/man/man8/postmoat.8":                        "644",
		prefix + "/share/man/man8/postmoat-replay.8":                 "644",
		prefix + "/share/bash-completion/completions/postmoat":       "644",
		prefix + "/share/zsh/site-functions/_postmoat":               "644",
		prefix + "/share/fish/vendor_completions.d/postmoat.fish":    "644",
		prefix + "/share/doc/postmoat/rules/rejects.yaml":            "644",
		prefix + "/share/doc/postmoat/contrib/systemd/read-log.conf": "644",
		"/etc/postmoat/postmoat.yaml":                                "644",
	} {
		if tree[path] != mode {
			t.Errorf("%s has mode %q, want %s", path, tree[path], mode)
		}
	}
	for path, mode := range tree {
		if mode != "644" && mode != "755" {
			t.Errorf("%s has mode %s", path, mode)
		}
	}
	for _, d := range []string{"allow.d", "rules.d"} {
		if list, err := os.ReadDir(filepath.Join(i.root, "etc/postmoat", d)); err != nil || len(list) > 0 {
			t.Errorf("%s is not an empty folder: %v %v", d, list, err)
		}
	}
	unit := read(t, filepath.Join(i.root, prefix, "lib/systemd/system/postmoat.service"))
	for _, m := range regexp.MustCompile(`(?m)^Exec\w+=(\S+)`).FindAllStringSubmatch(unit, -1) {
		if m[1] != prefix+"/bin/postmoat" {
			t.Errorf("the unit runs %s", m[1])
		}
	}
	// What was installed is the whole program, and its configuration works.
	file := filepath.Join(i.root, "etc/postmoat/postmoat.yaml")
	output(t, filepath.Join(i.root, prefix, "bin/postmoat"), "check", "--config", file, "--rules", "builtin")
	got, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Default().Windows, got.Windows); diff != "" {
		t.Errorf("the default configuration changes something:\n%s", diff)
	}
	if text := read(t, file); regexp.MustCompile(`(?m)^[^#\n]`).MatchString(text) {
		t.Errorf("the default configuration sets something:\n%s", text)
	}
	// With the comment signs of all settings taken away it is the default too.
	set := filepath.Join(t.TempDir(), "postmoat.yaml")
	write(t, set, regexp.MustCompile(`(?m)^#((?:  )?[a-z])`).ReplaceAllString(read(t, file), "$1"))
	if got, err = config.Load(set); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Default().Ban, got.Ban); diff != "" || strings.Count(read(t, set), "\n#") >= strings.Count(read(t, file), "\n#")-20 {
		t.Errorf("the settings are not all there:\n%s\n%s", diff, read(t, set))
	}
}

// testCompletions: the shells read them, where they are there.
func testCompletions(t *testing.T, share string) {
	for shell, file := range map[string]string{"bash": "postmoat.bash", "zsh": "_postmoat", "fish": "postmoat.fish"} {
		t.Run(shell, func(t *testing.T) {
			need(t, shell)
			output(t, shell, "-n", filepath.Join(share, file))
		})
	}
}

// testOtherSystems: the other kinds of service land where they belong.
func testOtherSystems(t *testing.T, binary, share string) {
	for kind, want := range map[string]map[string]string{
		"openrc":  {"/etc/init.d/postmoat": "755", "/etc/conf.d/postmoat": "644"},
		"freebsd": {"/usr/local/etc/rc.d/postmoat": "755"},
		"openbsd": {"/etc/rc.d/postmoat": "755"},
	} {
		t.Run(kind, func(t *testing.T) {
			root := t.TempDir()
			cmd := exec.Command("./install.sh", "install")
			cmd.Env = append(os.Environ(), "DESTDIR="+root, "BINARY="+binary, "SHARE="+share, "INIT="+kind)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			tree := installation{t: t, root: root}.tree()
			for path, mode := range want {
				if tree[path] != mode {
					t.Errorf("%s has mode %q, want %s", path, tree[path], mode)
				}
			}
			if tree["/usr/local/lib/systemd/system/postmoat.service"] != "" {
				t.Error("there is a unit of systemd")
			}
			got, err := config.Load(filepath.Join(root, "etc/postmoat/postmoat.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			if bsd := strings.HasSuffix(kind, "bsd"); bsd != (got.State == "/var/db/postmoat") || bsd != (got.Control.Group == "wheel") {
				t.Errorf("state %s, group %s", got.State, got.Control.Group)
			}
		})
	}
}
