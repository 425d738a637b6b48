package firewall

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// guard refuses a second process that would own the same names in the firewall,
// whatever its state folder: the two would undo each other's work without end.
//
// It is the name of an abstract socket (unix(7)): like the firewall it belongs to
// the network namespace, and it is gone with the process. Anybody may take such a
// name; one who could not change the firewall keeps nobody from it.
func guard(owner, _ string) (io.Closer, error) {
	name := "@postmoat/firewall/" + owner
	for range 3 {
		l, err := net.Listen("unix", name)
		if err == nil {
			return l, nil
		}
		if errors.Is(err, fs.ErrPermission) {
			return nil, nil // a policy forbids such names; it guards against a slip only
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("firewall lock: %w", err)
		}
		holder, err := listener(name)
		if err != nil { // it has just gone
			continue
		}
		if holder.Uid != 0 && holder.Uid != uint32(os.Geteuid()) && !mayAdminNet(holder.Pid) {
			return nil, nil
		}
		return nil, busy("take "+name, fmt.Sprintf("process %d of user %d, with another state folder", holder.Pid, holder.Uid))
	}
	return nil, nil // nobody answers: one who has only the name
}

// listener is who listens on a socket.
func listener(name string) (*unix.Ucred, error) {
	c, err := net.Dial("unix", name)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	var u *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		u, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return u, errors.Join(err, failed)
}

// mayAdminNet says whether a process has CAP_NET_ADMIN here, as far as can be
// told: in a user namespace of one's own one has all, and they change nothing
// outside of it.
func mayAdminNet(pid int32) bool {
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/user", pid))
	ours, err2 := os.Readlink("/proc/self/ns/user")
	if err != nil || err2 != nil || theirs != ours {
		return false
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	_, caps, _ := strings.Cut(string(b), "\nCapEff:\t")
	caps, _, _ = strings.Cut(caps, "\n")
	n, err := strconv.ParseUint(caps, 16, 64)
	return err == nil && n>>unix.CAP_NET_ADMIN&1 != 0
}
