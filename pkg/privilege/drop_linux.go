package privilege

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Drop makes the process an ordinary user, if it runs as root, on every thread:
// user, group and supplementary groups; effective, permitted, inheritable,
// ambient and bounding capabilities exactly those to keep (ambient, so that
// programs it starts have them too); no new privileges ever (no_new_privs).
// Then it looks at every thread whether it is so. Run by anybody else it changes
// nothing and reports which capabilities there are and which are missing.
//
// Errors are of type *[Error]. Up to the point where names are looked up, and in
// a program with cgo, nothing has been changed; after any other error the
// process is neither root nor an ordinary user and should end. A thread with
// other credentials than the rest (of unix.Setuid, say) ends the program.
//
// The process can not be traced nor leave a core afterwards (PR_SET_DUMPABLE),
// and much of its /proc/self belongs to root.
func Drop(o Options) (Report, error) {
	if os.Geteuid() != 0 {
		have, err := Have()
		if err != nil {
			return Report{}, &Error{Op: "read capabilities", Err: err}
		}
		missing := setOf(o.Keep) &^ setOf(have)
		return Report{UID: os.Getuid(), GID: os.Getgid(), Caps: have, Missing: missing.list()}, nil
	}
	want, missingGroups, err := lookUp(o)
	if err != nil {
		return Report{}, err
	}
	permitted, err := permitted()
	if err != nil {
		return Report{}, &Error{Op: "read capabilities", Err: err}
	}
	if missing := want.caps &^ permitted; missing != 0 {
		return Report{MissingGroups: missingGroups, Missing: missing.list()}, &Error{
			Op: "keep capabilities", Err: fmt.Errorf("root has no %v here", missing.list()),
			Hint: "Root of a container is not all-powerful: give it the capability (--cap-add), or start a service with User= and AmbientCapabilities= instead of as root."}
	}
	if err := become(want); err != nil {
		return Report{}, err
	}
	threads, err := verify(want)
	if err != nil {
		return Report{}, &Error{Op: "verify", Err: err, Hint: "This must not happen: the process is to be ended."}
	}
	return Report{Dropped: true, UID: want.uid, GID: want.gid, Groups: want.groups,
		MissingGroups: missingGroups, Caps: want.caps.list(), Threads: threads}, nil
}

// become does it. The order matters: the bounding set and the groups need
// capabilities that leave with the user; no_new_privs comes last.
func become(w identity) error {
	step := func(op string, err error) error {
		if err == nil {
			return nil
		}
		e := &Error{Op: op, Err: err}
		switch {
		case errors.Is(err, syscall.ENOTSUP):
			e.Hint = "This program was built with cgo, whose threads Go cannot change: build it with CGO_ENABLED=0, or start it as its own user (User= and AmbientCapabilities= of systemd)."
		case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EINVAL):
			e.Hint = "Dropping takes CAP_SETUID, CAP_SETGID and CAP_SETPCAP, and a user that exists in this user namespace: start as real root, or as the user itself with AmbientCapabilities= of systemd."
		}
		return e
	}
	// The first is also the test for cgo.
	if err := step("keep capabilities", prctl(unix.PR_SET_KEEPCAPS, 1, 0)); err != nil {
		return err
	}
	for c := Cap(0); c <= maxCap; c++ {
		if w.caps.has(c) {
			continue
		}
		// The kernel says EINVAL to the first number that it does not know.
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0); err != nil {
			break
		}
		if err := step(fmt.Sprintf("give up %v for good", c), prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0)); err != nil {
			return err
		}
	}
	if err := step("set groups", syscall.Setgroups(w.groups)); err != nil {
		return err
	}
	if err := step(fmt.Sprintf("become group %d", w.gid), syscall.Setresgid(w.gid, w.gid, w.gid)); err != nil {
		return err
	}
	if err := step(fmt.Sprintf("become user %d", w.uid), syscall.Setresuid(w.uid, w.uid, w.uid)); err != nil {
		return err
	}
	if err := step("set capabilities", capset(w.caps)); err != nil {
		return err
	}
	// The change of user has cleared the ambient ones.
	for _, c := range w.caps.list() {
		if err := step(fmt.Sprintf("hand %v down", c), prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c))); err != nil {
			return err
		}
	}
	return step("refuse new privileges", prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0))
}

// prctl is prctl(2) on all threads. The arguments it does not name are 0, as
// some of its options demand.
func prctl(option int, a, b uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, uintptr(option), a, b, 0, 0, 0)
	return toError(errno)
}

// capset is capset(2) on all threads.
func capset(s capSet) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3} // the calling thread
	var data [2]unix.CapUserData
	for i := range data {
		word := uint32(s >> (32 * i))
		data[i] = unix.CapUserData{Effective: word, Permitted: word, Inheritable: word}
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0)
	return toError(errno)
}

func toError(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
