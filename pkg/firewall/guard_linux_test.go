package firewall_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/postmoat/postmoat/pkg/firewall"
)

// TestLockSquatted: a user who may not touch the firewall keeps nobody from it,
// nor one who has made a user namespace, in which all capabilities are.
func TestLockSquatted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	owner, theirs := lockOwner(), t.TempDir()
	for folder := theirs; folder != os.TempDir(); folder = filepath.Dir(folder) {
		if err := os.Chmod(folder, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(theirs, "program")
	if err := exec.Command("cp", os.Args[0], program).Run(); err != nil { // where it may be run by anybody
		t.Fatal(err)
	}
	const nobody = 65534
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}}
	for name, as := range map[string]*syscall.SysProcAttr{
		"user":      {Credential: &syscall.Credential{Uid: nobody, Gid: nobody}},
		"namespace": {Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids, Credential: &syscall.Credential{NoSetGroups: true}},
	} {
		t.Run(name, func(t *testing.T) {
			line, end := lockElsewhere(t, as, theirs, owner)
			if line != "held" {
				t.Fatalf("the other process says %q", line)
			}
			defer end()
			lock, err := firewall.TakeLock(t.TempDir(), owner, "run")
			if err != nil {
				t.Fatal(err)
			}
			lock.Release()
		})
	}
}

// TestLockMute: nor does one who takes the name and says nothing.
func TestLockMute(t *testing.T) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	owner := lockOwner()
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "@postmoat/firewall/" + owner}); err != nil {
		t.Fatal(err)
	}
	lock, err := firewall.TakeLock(t.TempDir(), owner, "run")
	if err != nil {
		t.Fatal(err)
	}
	lock.Release()
}
