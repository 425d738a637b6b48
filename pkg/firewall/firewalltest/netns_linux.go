package firewalltest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What the parent tells the test binary that it runs in a namespace.
const (
	insideEnv = "POSTMOAT_TEST_NETNS"         // set: we are in a network namespace of our own
	whyNotEnv = "POSTMOAT_TEST_NETNS_MISSING" // why there is none
)

// Main is for TestMain: it runs the test binary again in a new network
// namespace, so that no test can touch the host: as root just so, as an
// ordinary user as the root of a new user namespace. Where the kernel refuses,
// the tests run all the same and NeedNamespace skips.
func Main(m *testing.M) {
	if os.Getenv(insideEnv) != "" || os.Getenv(whyNotEnv) != "" {
		if os.Getenv(insideEnv) != "" {
			if err := loopbackUp(); err != nil {
				fmt.Fprintln(os.Stderr, "loopback:", err)
				os.Exit(2)
			}
		}
		os.Exit(m.Run())
	}
	why := ""
	probe := again("-test.run=^$")
	if out, err := probe.CombinedOutput(); err != nil {
		why = fmt.Sprintf("no network namespace for uid %d: %v %s", os.Getuid(), err, out)
	}
	cmd := again(os.Args[1:]...)
	if why != "" {
		cmd.SysProcAttr = nil
		cmd.Env = append(os.Environ(), whyNotEnv+"="+strings.TrimSpace(why))
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	signal.Ignore(os.Interrupt) // the child gets it too, and we wait for the child
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(max(1, exit.ExitCode()))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(0)
}

// again is this test binary in new namespaces.
func again(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return cmd
}

// InUserNamespace says whether the tests run as an ordinary user who is root
// only in here: some things are then the host's and cannot be changed.
func InUserNamespace() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && !strings.Contains(string(b), "4294967295")
}

// NeedNamespace skips the test when there is no namespace to do harm in.
func NeedNamespace(t testing.TB) {
	t.Helper()
	if os.Getenv(insideEnv) == "" {
		why := os.Getenv(whyNotEnv)
		if why == "" {
			why = "the package has no TestMain that calls firewalltest.Main"
		}
		missing(t, why)
	}
}

// NeedTool skips the test when a program is not installed.
func NeedTool(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		missing(t, fmt.Sprintf("%s is not installed", name))
	}
}

// missing skips, but fails where everything must be there.
func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// A Namespace is a network namespace in which a host of the test lives. It
// lasts until the end of the test.
type Namespace struct {
	jobs chan func()
	file *os.File
}

// NewNamespace makes an empty one, with its loopback up.
func NewNamespace(t testing.TB) *Namespace {
	t.Helper()
	return namespace(t, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		return loopbackUp()
	})
}

// Here is the namespace that the test itself runs in.
func Here(t testing.TB) *Namespace {
	t.Helper()
	return namespace(t, func() error { return nil })
}

// namespace starts a thread that lives in what enter makes. The thread ends
// with its goroutine, so it is never used for anything else.
func namespace(t testing.TB, enter func() error) *Namespace {
	n := &Namespace{jobs: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := enter()
		if err == nil {
			n.file, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		}
		ready <- err
		for job := range n.jobs {
			job()
		}
	}()
	if err := <-ready; err != nil {
		missing(t, fmt.Sprintf("network namespace: %v", err))
	}
	t.Cleanup(func() {
		close(n.jobs)
		n.file.Close()
	})
	return n
}

// Do runs f inside. Sockets that f opens on its own goroutine, and programs it
// starts, stay there.
func (n *Namespace) Do(f func()) {
	done := make(chan struct{})
	n.jobs <- func() {
		defer close(done)
		f()
	}
	<-done
}

// Run runs a program inside and returns what it wrote.
func (n *Namespace) Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	NeedTool(t, name)
	var out []byte
	var err error
	n.Do(func() { out, err = exec.Command(name, args...).CombinedOutput() })
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Path names the namespace for ip(8).
func (n *Namespace) Path() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd())
}

// loopbackUp brings lo up in the namespace of the calling thread.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}
