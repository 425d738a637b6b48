package contrib_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// exposure is what systemd-analyze says of a unit with drop-ins: 0 is best,
// 10 worst.
func exposure(t *testing.T, dropIns ...string) float64 {
	t.Helper()
	root := t.TempDir()
	units := filepath.Join(root, "etc/systemd/system")
	copyTo(t, "systemd/postmoat.service", filepath.Join(units, "postmoat.service"))
	for _, d := range dropIns {
		copyTo(t, d, filepath.Join(units, "postmoat.service.d", filepath.Base(d)))
	}
	out := output(t, "systemd-analyze", "security", "--offline=yes", "--no-pager", "--root="+root, "postmoat.service")
	m := regexp.MustCompile(`Overall exposure level for postmoat.service: ([0-9.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no level in\n%s", out)
	}
	level, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return level
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, []byte(read(t, from)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestUnitIsHard: the exposure of the service is at most 2.0.
func TestUnitIsHard(t *testing.T) {
	need(t, "systemd-analyze")
	plain := exposure(t)
	if plain > 2.0 || plain <= 0 {
		t.Errorf("exposure %.1f, want at most 2.0", plain)
	}
	// The drop-ins give more away, so that they must be seen; not much more.
	for _, d := range []string{"systemd/iptables.conf", "systemd/read-log.conf"} {
		if level := exposure(t, d); level <= plain || level > 2.5 {
			t.Errorf("%s: exposure %.1f, without it %.1f", d, level, plain)
		}
	}
}

// TestUnitIsUnderstood: systemd knows every line of the unit and its drop-ins.
func TestUnitIsUnderstood(t *testing.T) {
	need(t, "systemd-analyze")
	folder := t.TempDir()
	unit := filepath.Join(folder, "postmoat.service")
	text := strings.ReplaceAll(read(t, "systemd/postmoat.service"), "/usr/local/bin/postmoat", "/bin/true")
	text = regexp.MustCompile(`(?m)^Documentation=.*\n`).ReplaceAllString(text, "") // verify looks for the pages
	for _, d := range []string{"systemd/iptables.conf", "systemd/read-log.conf"} {
		_, settings, _ := strings.Cut(read(t, d), "[Service]\n")
		if settings == "" {
			t.Fatalf("%s has no settings", d)
		}
		text = strings.Replace(text, "[Service]\n", "[Service]\n"+settings, 1)
	}
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit).CombinedOutput()
	if err != nil || strings.Contains(string(out), "postmoat") {
		t.Errorf("%v\n%s", err, out)
	}
	// A key that is none must be seen, else the test sees nothing.
	if err := os.WriteFile(unit, []byte(text+"\n[Service]\nProtectEverything=yes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, _ = exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit).CombinedOutput()
	if !strings.Contains(string(out), "ProtectEverything") {
		t.Errorf("an unknown key was not seen:\n%s", out)
	}
}

// TestUsersAndFolders: sysusers and tmpfiles make what the unit names, in a
// root of their own.
func TestUsersAndFolders(t *testing.T) {
	need(t, "systemd-sysusers", "systemd-tmpfiles")
	root := t.TempDir()
	for _, d := range []string{"etc", "run", "var/lib"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	users := filepath.Join(root, "usr/lib/sysusers.d/postmoat.conf")
	copyTo(t, "systemd/postmoat.sysusers", users)
	output(t, "systemd-sysusers", "--root="+root, "postmoat.conf")
	passwd := read(t, filepath.Join(root, "etc/passwd"))
	if !regexp.MustCompile(`(?m)^postmoat:.*:/var/lib/postmoat:.*nologin$`).MatchString(passwd) {
		t.Errorf("the user is not as it should be:\n%s", passwd)
	}
	group := read(t, filepath.Join(root, "etc/group"))
	for _, name := range []string{"postmoat", "adm", "systemd-journal"} {
		if !strings.Contains("\n"+group, "\n"+name+":") {
			t.Errorf("no group %s:\n%s", name, group)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("only root can give folders away")
	}
	copyTo(t, "systemd/postmoat.tmpfiles", filepath.Join(root, "usr/lib/tmpfiles.d/postmoat.conf"))
	output(t, "systemd-tmpfiles", "--root="+root, "--create", "postmoat.conf")
	for path, mode := range map[string]os.FileMode{
		"run/postmoat": 0o755, "var/lib/postmoat": 0o750, "etc/postmoat": 0o755,
		"etc/postmoat/allow.d": 0o755, "etc/postmoat/rules.d": 0o755,
	} {
		info, err := os.Stat(filepath.Join(root, path))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), mode)
		}
	}
}
