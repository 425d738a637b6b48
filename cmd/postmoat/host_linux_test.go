package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/control"
	"github.com/postmoat/postmoat/pkg/daemon"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
)

// patience is how long a test waits for what has to come: it ends sooner, and
// only fails after this.
const patience = 60 * time.Second

// A host is a mail host in the namespace of the test: a log, and a daemon that
// follows it.
type host struct {
	*machine
	dir    string
	log    *os.File
	client *control.Client

	around  []string      // the program that starts the daemon, and its arguments; empty: none
	process *exec.Cmd     // the daemon; nil: was never started
	ended   chan struct{} // closed when it has
	ready   time.Time     // when the daemon said that it was
	said    *bytes.Buffer // by it and those before it, to be read when it has ended
}

// newHost makes one whose log is empty. more is added to its configuration.
func newHost(t testing.TB, bin, more string) *host {
	t.Helper()
	// The path of a socket must be short.
	dir, err := os.MkdirTemp("", "pm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "run", "s")
	h := &host{machine: &machine{t, bin, filepath.Join(dir, "postmoat.yaml")}, dir: dir, client: control.Dial(socket)}
	t.Cleanup(h.client.Close)
	config := fmt.Sprintf("sources: [{file: %s}]\nstate: %s\ncontrol: {socket: %s, group: \"\"}\nfirewall: {backend: nftables}\nrules: [builtin]\nallow: {files: []}\n%s",
		h.path(), filepath.Join(dir, "state"), socket, more)
	if err := os.WriteFile(h.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	h.open()
	t.Cleanup(func() { h.log.Close() })
	t.Cleanup(func() {
		if h.process != nil {
			h.kill()
			if t.Failed() {
				t.Logf("the daemon said:\n%s", h.said)
			}
		}
		exec.Command("nft", "delete", "table", "inet", "postmoat").Run() // if it is there
	})
	return h
}

// path is that of the log.
func (h *host) path() string { return filepath.Join(h.dir, "mail.log") }

func (h *host) open() {
	h.t.Helper()
	f, err := os.OpenFile(h.path(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	h.log = f
}

// rotate moves the log aside as logrotate does. The writer has the old one open
// until it is closed.
func (h *host) rotate() (old *os.File) {
	h.t.Helper()
	err := os.Rename(h.path()+".1", h.path()+".2")
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.Rename(h.path(), h.path()+".1")
	}
	if err != nil {
		h.t.Fatal(err)
	}
	old = h.log
	h.open()
	return old
}

// start starts the daemon, and returns when it has told systemd that it is ready
// and has read what stood in the log.
func (h *host) start(args ...string) {
	h.t.Helper()
	path := filepath.Join(h.dir, "notify")
	os.Remove(path)
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		h.t.Fatal(err)
	}
	if h.said == nil {
		h.said = new(bytes.Buffer)
	}
	args = slices.Concat(h.around, []string{h.bin, "run", "--user", "root", "--config", h.config}, args)
	h.process = exec.Command(args[0], args[1:]...)
	h.process.Env = append(os.Environ(), "NOTIFY_SOCKET="+path)
	h.process.Stderr = h.said
	h.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := h.process.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.ended = make(chan struct{})
	go func() {
		defer close(h.ended)
		h.process.Wait()
		notify.Close() // nothing comes any more
	}()
	notify.SetReadDeadline(time.Now().Add(patience))
	message := make([]byte, 4096)
	for {
		n, err := notify.Read(message)
		if err != nil {
			h.kill()
			h.t.Fatalf("the daemon does not get ready: %v\n%s", err, h.said)
		}
		if slices.Contains(strings.Split(string(message[:n]), "\n"), "READY=1") {
			h.ready = time.Now()
			break
		}
	}
	// What else it says is read, as a service manager would.
	notify.SetReadDeadline(time.Time{})
	go func() {
		for err := error(nil); err == nil; {
			_, err = notify.Read(message)
		}
	}()
	h.eventually("it has caught up", func() bool { return h.status().Phase == "running" })
}

func (h *host) status() daemon.Status {
	h.t.Helper()
	s, err := h.client.Status(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// kill is kill -9.
func (h *host) kill() {
	h.process.Process.Kill()
	<-h.ended
}

// stop ends the daemon as systemd would.
func (h *host) stop() {
	h.t.Helper()
	h.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-h.ended:
	case <-time.After(patience):
		h.kill()
		h.t.Fatalf("it does not end\n%s", h.said)
	}
	if code := h.process.ProcessState.ExitCode(); code != 0 {
		h.t.Errorf("it ends with exit code %d\n%s", code, h.said)
	}
}

// write appends lines to the log, and returns when they are in the file.
func (h *host) write(lines ...string) {
	h.t.Helper()
	writeTo(h.t, h.log, lines...)
}

func writeTo(t testing.TB, f *os.File, lines ...string) {
	t.Helper()
	if _, err := f.WriteString(strings.Join(lines, "")); err != nil {
		t.Fatal(err)
	}
}

// bounce is what Postfix writes of a client that sends a bounce to a user who
// does not exist. Ten of them in ten minutes, to different users, are enough.
func bounce(client string, n int) string {
	user := fmt.Sprintf("nobody%d@example.net", n)
	return time.Now().Format(time.Stamp) + " mx1 postfix/smtpd[18266]: NOQUEUE: reject: RCPT from unknown[" + client + "]: 550 5.1.1 <" + user +
		">: Recipient address rejected: User unknown in local recipient table; from=<> to=<" + user + "> proto=ESMTP helo=<mail." + user + ">\n"
}

// bounces are those to users first to last.
func bounces(client string, first, last int) []string {
	var lines []string
	for n := first; n <= last; n++ {
		lines = append(lines, bounce(client, n))
	}
	return lines
}

// eventually waits until something is so. Failing it is fatal.
func (h *host) eventually(what string, is func() bool) {
	h.t.Helper()
	h.eventuallyWithin(patience, what, is)
}

func (h *host) eventuallyWithin(patience time.Duration, what string, is func() bool) {
	h.t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); !is(); <-ticker.C {
		if time.Now().After(deadline) {
			h.kill()
			h.t.Fatalf("it never comes to this: %s", what)
		}
	}
}

// scored waits until a client has so many points of the limit, and fails at
// once when it has more.
func (h *host) scored(client string, want float64) {
	h.t.Helper()
	h.eventually(fmt.Sprintf("%s has a score of %v", client, want), func() bool {
		x := h.explain(client)
		for _, s := range x.Standing {
			if s.Window == "burst" {
				if s.Score > want {
					h.t.Fatalf("%s has a score of %v, want %v", client, s.Score, want)
				}
				if s.Score == want {
					return true
				}
			}
		}
		return false
	})
}

func (h *host) explain(client string) control.Explanation {
	h.t.Helper()
	x, err := h.client.Explain(h.t.Context(), netip.MustParseAddr(client))
	if err != nil {
		h.t.Fatal(err)
	}
	return x
}

// banned waits until the daemon has banned a client.
func (h *host) banned(client string) {
	h.t.Helper()
	h.eventually(client+" is banned", func() bool { return len(h.explain(client).Bans) > 0 })
}

// inStep waits until the firewall holds exactly the bans of the daemon.
func (h *host) inStep() {
	h.t.Helper()
	var want, got []string
	h.eventually("the firewall is in step", func() bool {
		bans, err := h.client.Bans(h.t.Context(), control.Query{})
		if err != nil {
			h.t.Fatal(err)
		}
		want, got = nil, nil
		for _, b := range bans {
			want = append(want, b.Prefix)
		}
		for _, b := range h.held() {
			got = append(got, b.Prefix)
		}
		slices.Sort(want)
		slices.Sort(got)
		return slices.Equal(want, got)
	})
}

// held are the bans in the firewall.
func (h *host) held() []listed {
	h.t.Helper()
	var held []listed
	if err := json.Unmarshal([]byte(h.run("list", "--firewall", "--format", "json")), &held); err != nil {
		h.t.Fatal(err)
	}
	return held
}

// cut waits until a client gets nothing at port 25.
func (h *host) cut(net *firewalltest.Net, client string) {
	h.t.Helper()
	h.eventually(client+" gets nothing", func() bool {
		return net.Try(client, 25, 300*time.Millisecond) == firewalltest.Nothing
	})
}
