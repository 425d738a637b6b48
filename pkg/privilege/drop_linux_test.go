package privilege_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/postmoat/postmoat/pkg/privilege"
)

// nobody owns nothing on any system.
const nobody = "nobody"

// An answer is that of testdata/dropper.
type answer struct {
	Report     privilege.Report
	Error      string
	Hint       string
	SetuidBack string
	Table      string
	Child      string
	Main       string
	Threads    []struct {
		ID     int
		Status string
		Shadow string
	}
}

// dropper builds testdata/dropper where everybody may run it.
func dropper(t *testing.T, cgo string) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "postmoat-dropper")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	name := filepath.Join(folder, "dropper")
	build := exec.Command("go", "build", "-o", name, "./testdata/dropper")
	build.Env = append(os.Environ(), "CGO_ENABLED="+cgo, "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("go build with CGO_ENABLED=%s: %v\n%s", cgo, err, out))
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// run runs it with other privileges than ours.
func run(t *testing.T, program string, o privilege.Options, as *syscall.SysProcAttr) (a answer) {
	t.Helper()
	in, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Stdin = bytes.NewReader(in)
	cmd.SysProcAttr = as
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("dropper: %v\n%s", err, &stderr)
	}
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatalf("dropper: %v\n%s", err, out)
	}
	return a
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root has privileges to drop")
	}
	if b, err := os.ReadFile("/proc/self/uid_map"); err != nil || !strings.Contains(string(b), "4294967295") {
		t.Skip("root of a user namespace cannot become other users")
	}
}

// missing skips, but fails where everything must be there.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// field is a line of /proc/pid/status, blanks joined.
func field(status, name string) string {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return "no such line"
}

// ids are the numbers of nobody.
func ids(t *testing.T) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup(nobody)
	if err != nil {
		missing(t, err.Error())
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid
}

// TestDrop is the whole story, on every thread and in a child.
func TestDrop(t *testing.T) {
	needRoot(t)
	uid, gid := ids(t)
	daemon, err := user.LookupGroup("daemon")
	if err != nil {
		missing(t, err.Error())
	}
	program := dropper(t, "0")
	namespace := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	for _, c := range []struct {
		name string
		keep []privilege.Cap
		caps string // of every thread
	}{
		{"keeping CAP_NET_ADMIN", []privilege.Cap{privilege.NetAdmin}, "0000000000001000"},
		{"keeping CAP_NET_ADMIN and CAP_NET_RAW", []privilege.Cap{privilege.NetRaw, privilege.NetAdmin}, "0000000000003000"},
		{"keeping nothing", nil, "0000000000000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := run(t, program, privilege.Options{
				User: nobody, Groups: []string{"daemon", "no_such_group", "daemon"}, Keep: c.keep,
			}, namespace)
			if a.Error != "" {
				t.Fatalf("drop: %s (%s)", a.Error, a.Hint)
			}
			want := slices.Clone(c.keep)
			slices.Sort(want)
			r := a.Report
			if !r.Dropped || r.UID != uid || r.GID != gid || len(r.Groups) != 1 || !slices.Equal(r.Caps, want) ||
				!slices.Equal(r.MissingGroups, []string{"no_such_group"}) || len(r.Missing) != 0 {
				t.Errorf("report = %+v", r)
			}
			if r.Threads < len(a.Threads)+1 {
				t.Errorf("%d threads verified, there are more than %d", r.Threads, len(a.Threads))
			}
			statuses := map[string]string{"first thread": a.Main, "child": a.Child}
			distinct := make(map[int]bool)
			for _, th := range a.Threads {
				distinct[th.ID] = true
				statuses[fmt.Sprintf("thread %d", th.ID)] = th.Status
				if !strings.Contains(th.Shadow, "permission denied") {
					t.Errorf("thread %d opens /etc/shadow: %s", th.ID, th.Shadow)
				}
			}
			if len(distinct) < 40 {
				t.Errorf("only %d threads", len(distinct))
			}
			u, g := fmt.Sprintf("%d %[1]d %[1]d %[1]d", uid), fmt.Sprintf("%d %[1]d %[1]d %[1]d", gid)
			for who, status := range statuses {
				for name, want := range map[string]string{
					"Uid": u, "Gid": g, "Groups": daemon.Gid, "NoNewPrivs": "1",
					"CapInh": c.caps, "CapPrm": c.caps, "CapEff": c.caps, "CapBnd": c.caps, "CapAmb": c.caps,
				} {
					if got := field(status, name); got != want {
						t.Errorf("%s: %s is %q, want %q", who, name, got, want)
					}
				}
			}
			if !strings.Contains(a.SetuidBack, "operation not permitted") {
				t.Errorf("becoming root again: %s", a.SetuidBack)
			}
			works := slices.Contains(c.keep, privilege.NetAdmin)
			if works && a.Table != "<nil>" || !works && !strings.Contains(a.Table, "operation not permitted") {
				t.Errorf("making a table: %s", a.Table)
			}
		})
	}

	t.Run("group", func(t *testing.T) {
		a := run(t, program, privilege.Options{User: nobody, Group: "daemon"}, nil)
		if a.Error != "" || strconv.Itoa(a.Report.GID) != daemon.Gid || field(a.Main, "Groups") != "" {
			t.Errorf("%s; report = %+v, groups %q", a.Error, a.Report, field(a.Main, "Groups"))
		}
	})

	// Root all the while: nothing has been changed where Drop refuses.
	for _, c := range []struct {
		name    string
		options privilege.Options
		err     string
		hint    string
	}{
		{"unknown user", privilege.Options{User: "no_such_user"}, "no_such_user", "useradd"},
		{"unknown group", privilege.Options{User: nobody, Group: "no_such_group"}, "no_such_group", "groupadd"},
		{"no user", privilege.Options{}, "none is named", "Name the user"},
		{"root", privilege.Options{User: "root"}, "it is root", "ordinary user"},
		{"no such capability", privilege.Options{User: nobody, Keep: []privilege.Cap{64}}, "capability 64", ""},
		{"capability that root has not", privilege.Options{User: nobody, Keep: []privilege.Cap{63}}, "capability 63", "--cap-add"},
	} {
		t.Run(c.name, func(t *testing.T) {
			expectRefused(t, run(t, program, c.options, namespace), c.err, c.hint)
		})
	}
}

func expectRefused(t *testing.T, a answer, text, hint string) {
	t.Helper()
	if !strings.Contains(a.Error, text) || !strings.Contains(a.Hint, hint) {
		t.Errorf("error %q (%s), want %q (%s)", a.Error, a.Hint, text, hint)
	}
	if got := field(a.Main, "Uid"); got != "0 0 0 0" || field(a.Main, "NoNewPrivs") != field(ownStatus(t), "NoNewPrivs") ||
		field(a.Main, "CapEff") != field(ownStatus(t), "CapEff") || field(a.Main, "CapBnd") != field(ownStatus(t), "CapBnd") {
		t.Errorf("something has been changed:\n%s", a.Main)
	}
}

func ownStatus(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestCgo: a program with cgo refuses and stays what it is.
func TestCgo(t *testing.T) {
	needRoot(t)
	if out, err := exec.Command("go", "env", "CC").Output(); err != nil {
		missing(t, err.Error())
	} else if _, err := exec.LookPath(strings.TrimSpace(string(out))); err != nil {
		t.Skip("no C compiler, so nobody builds with cgo here")
	}
	a := run(t, dropper(t, "1"), privilege.Options{User: nobody}, nil)
	expectRefused(t, a, "not supported", "CGO_ENABLED=0")
}

// TestOrdinary: whoever is not root is told what there is and what is missing,
// and nothing changes.
func TestOrdinary(t *testing.T) {
	program := dropper(t, "0")
	var as *syscall.SysProcAttr
	uid := os.Getuid()
	if uid == 0 {
		needRoot(t)
		var gid int
		uid, gid = ids(t)
		as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	o := privilege.Options{User: "no_such_user", Keep: []privilege.Cap{privilege.NetRaw, privilege.NetAdmin}}
	a := run(t, program, o, as)
	r := a.Report
	if a.Error != "" || r.Dropped || r.UID != uid || len(r.Caps) != 0 || !slices.Equal(r.Missing, []privilege.Cap{privilege.NetAdmin, privilege.NetRaw}) {
		t.Errorf("%s; report = %+v", a.Error, r)
	}
	if got, want := field(a.Main, "NoNewPrivs"), field(ownStatus(t), "NoNewPrivs"); got != want {
		t.Errorf("NoNewPrivs is %q, was %q", got, want)
	}
	if as == nil {
		return
	}
	as.AmbientCaps = []uintptr{uintptr(privilege.NetAdmin)}
	r = run(t, program, o, as).Report
	if r.Dropped || !slices.Equal(r.Caps, []privilege.Cap{privilege.NetAdmin}) || !slices.Equal(r.Missing, []privilege.Cap{privilege.NetRaw}) {
		t.Errorf("with CAP_NET_ADMIN: report = %+v", r)
	}
}

func TestHave(t *testing.T) {
	have, err := privilege.Have()
	if err != nil {
		t.Fatal(err)
	}
	var set uint64
	for _, c := range have {
		set |= 1 << c
	}
	if got, want := fmt.Sprintf("%016x", set), field(ownStatus(t), "CapEff"); got != want {
		t.Errorf("have %v = %s, the kernel says %s", have, got, want)
	}
}
