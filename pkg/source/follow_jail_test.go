//go:build linux

package source

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/nxadm/tail/watch"
	"golang.org/x/sys/unix"
)

const jailVariable = "SOURCE_TEST_JAIL"

// TestFollowStormJail is the storm on a file system so small that it fills up,
// read by an ordinary user, who can be denied the file. The test binary runs
// itself twice: with a mount namespace of its own it mounts the file system,
// then as nobody in a user namespace, to whom the same files belong.
func TestFollowStormJail(t *testing.T) {
	const ordinary = 1000
	run := func(stage, dir string, attr *syscall.SysProcAttr) ([]byte, error) {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestFollowStormJail$", "-test.v", "-test.timeout=4m")
		cmd.Env = append(os.Environ(), jailVariable+"="+stage, "TMPDIR="+dir)
		attr.Pdeathsig = unix.SIGKILL
		cmd.SysProcAttr = attr
		return cmd.CombinedOutput()
	}
	ids := func(inside, outside int) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: inside, HostID: outside, Size: 1}}
	}
	switch os.Getenv(jailVariable) {
	case "":
		attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
		if os.Geteuid() != 0 {
			attr.Cloneflags |= unix.CLONE_NEWUSER
			attr.UidMappings, attr.GidMappings = ids(0, os.Geteuid()), ids(0, os.Getegid())
		}
		out, err := run("mount", t.TempDir(), attr)
		if exit, ok := err.(*exec.ExitError); err != nil && (!ok || exit.ExitCode() == noJail) {
			missing(t, fmt.Sprintf("no namespaces for uid %d: %v %s", os.Geteuid(), err, out))
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Logf("%s", out)
	case "mount":
		dir := os.Getenv("TMPDIR")
		err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		if err == nil {
			err = unix.Mount("none", dir, "tmpfs", 0, "size=8m")
		}
		if err != nil {
			fmt.Println("mount:", err)
			os.Exit(noJail)
		}
		out, err := run("storm", dir, &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER, UidMappings: ids(ordinary, 0), GidMappings: ids(ordinary, 0),
			Credential: &syscall.Credential{Uid: ordinary, Gid: ordinary, NoSetGroups: true},
		})
		fmt.Printf("%s", out)
		if exit, ok := err.(*exec.ExitError); err != nil && !ok {
			fmt.Println("user namespace:", err)
			os.Exit(noJail)
		} else if ok {
			os.Exit(exit.ExitCode())
		}
	default:
		if os.Geteuid() != ordinary {
			t.Fatalf("uid %d", os.Geteuid())
		}
		t.Run("refused", refused)
		denied, filled := 0, 0
		for seed := range uint64(5) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				s := newStorm(t, seed, t.TempDir())
				s.real, s.tiny = true, true
				s.run(80)
				denied += s.denied
				filled += s.filled
			})
		}
		if denied == 0 || filled == 0 {
			t.Errorf("denied %d times, full %d times", denied, filled)
		}
	}
}

// refused holds that a file that may not be watched leaves nothing behind in the
// watcher, which would stop all watching at the next event of that name.
func refused(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g, err := newGrowth(f)
	if err != nil {
		t.Fatal(err)
	}
	name := g.name
	if watch.Events(name) == nil {
		t.Fatal("a file that may be watched has no channel: nothing is tested")
	}
	if !g.stop() {
		t.Fatal("the watcher does not end")
	}
	if err := f.Chmod(0); err != nil {
		t.Fatal(err)
	}
	if g, err := newGrowth(f); !errors.Is(err, unix.EACCES) {
		t.Fatalf("%v, %v", g, err)
	}
	if watch.Events(name) != nil {
		t.Error("a channel that nobody reads is left")
	}
}

// noJail is the exit code where the kernel gives no namespace.
const noJail = 77

// missing skips a test, but fails where everything must be there.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
