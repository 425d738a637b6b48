package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
)

// A live machine has a daemon in a dry run, which reads a log.
type live struct {
	*machine
	log    string
	daemon *exec.Cmd
}

// newLive starts the daemon and returns when it says that it is ready.
func newLive(t *testing.T) *live {
	t.Helper()
	m := newMachine(t, "auto")
	dir := filepath.Dir(m.config)
	l := &live{machine: m, log: filepath.Join(dir, "mail.log")}
	if err := os.WriteFile(l.log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`
sources: [{file: %s, timezone: UTC}]
state: %s
control: {socket: %s, group: ""}
allow: {networks: [198.51.100.0/24]}
`, l.log, filepath.Join(dir, "state"), filepath.Join(dir, "s"))
	if err := os.WriteFile(m.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify")})
	if err != nil {
		t.Fatal(err)
	}
	l.daemon = exec.Command(m.bin, "run", "--dry-run", "--user", "root", "--config", m.config)
	l.daemon.Env = append(os.Environ(), "NOTIFY_SOCKET="+manager.LocalAddr().String())
	out, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	l.daemon.Stderr = out
	if err := l.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() { // until the end: what is not read would stop the daemon
		b := make([]byte, 4096)
		for told := false; ; {
			n, err := manager.Read(b)
			if err != nil {
				return
			}
			if !told && strings.Contains(string(b[:n]), "READY=1") {
				told = true
				close(ready)
			}
		}
	}()
	go func() {
		defer close(ended)
		l.daemon.Wait()
	}()
	t.Cleanup(func() {
		l.daemon.Process.Signal(syscall.SIGTERM)
		<-ended
		manager.Close()
		if text, err := os.ReadFile(out.Name()); t.Failed() && err == nil {
			t.Logf("the daemon:\n%s", text)
		}
	})
	select {
	case <-ready:
	case <-ended:
		t.Fatal("the daemon ended before it was ready")
	}
	return l
}

// attack writes the rejects that make a client an offender.
func (l *live) attack(client string, times int) {
	l.t.Helper()
	f, err := os.OpenFile(l.log, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	at := time.Now().UTC().Format("Jan _2 15:04:05")
	for i := range times {
		fmt.Fprintf(f, "%s mx1 postfix/smtpd[17]: NOQUEUE: reject: RCPT from unknown[%s]: 550 5.1.1 <u%d@example.org>: Recipient address rejected: User unknown in local recipient table; from=<a@example.net> to=<u%d@example.org> proto=ESMTP helo=<x>\n", at, client, i, i)
	}
}

// code runs a command and returns its exit code, too.
func (l *live) code(command string, args ...string) (int, string) {
	l.t.Helper()
	out, err := l.try(command, args...)
	if x, ok := errors.AsType[*exec.ExitError](err); ok {
		return x.ExitCode(), out
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return 0, out
}

// TestDaemonCommands: an attack is seen, banned, explained, undone.
func TestDaemonCommands(t *testing.T) {
	l := newLive(t)

	// An operator watches.
	watch := exec.Command(l.bin, "events", "--config", l.config)
	notes, err := watch.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	stream, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		watch.Process.Signal(os.Interrupt)
		if err := watch.Wait(); err != nil {
			t.Errorf("events after Ctrl-C: %v", err)
		}
	}()
	if line, err := bufio.NewReader(notes).ReadString('\n'); !strings.Contains(line, "following events") {
		t.Fatalf("%q %v", line, err)
	}
	events := bufio.NewScanner(stream)
	await := func(words ...string) {
		t.Helper()
		for events.Scan() {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(events.Text(), w) }) {
				return
			}
		}
		t.Fatalf("no event with %q", words)
	}

	l.attack("192.0.2.7", 31)
	await(" ban ", "192.0.2.7/32")

	var bans []control.Ban
	if err := json.Unmarshal([]byte(l.run("list", "--format", "json", "192.0.2.7")), &bans); err != nil {
		t.Fatal(err)
	}
	if len(bans) != 1 || bans[0].Prefix != "192.0.2.7/32" || bans[0].State != "dry run" || bans[0].Pinned ||
		!slices.Equal(bans[0].Members, []string{"192.0.2.7"}) || bans[0].Remaining == nil || *bans[0].Remaining > 3600 || *bans[0].Remaining < 3000 {
		t.Errorf("%+v", bans)
	}
	if out := l.run("explain", "192.0.2.7"); !strings.Contains(out, "192.0.2.7 is banned at door smtp by 192.0.2.7/32, until ") || !strings.Contains(out, "window day") {
		t.Errorf("explain:\n%s", out)
	}
	if out := l.run("__complete", "unban", ""); !strings.Contains(out, "192.0.2.7/32\t") {
		t.Errorf("completion:\n%s", out)
	}
	if out := l.run("unban", "192.0.2.7"); !strings.Contains(out, "unbanned 192.0.2.7/32\n") || !strings.Contains(out, "on the allowlist until ") {
		t.Errorf("unban:\n%s", out)
	}
	await(" end ", "192.0.2.7/32", "lifted")
	if out := l.run("explain", "192.0.2.7"); !strings.Contains(out, "is not banned") || !strings.Contains(out, "It is allowlisted: 192.0.2.7/32, operator from ") || !strings.Contains(out, "Earlier bans:") {
		t.Errorf("explain after unban:\n%s", out)
	}

	// By hand, around what is allowed.
	if out := l.run("ban", "203.0.113.0/24", "--for", "7d", "--because", "abuse desk"); !strings.Contains(out, "banned 203.0.113.0/24 at all mail ports until ") {
		t.Errorf("ban:\n%s", out)
	}
	await(" ban ", "203.0.113.0/24")
	if out := l.run("list", "--wide", "--sort", "ends"); !strings.Contains(out, "by hand") || !strings.Contains(out, "abuse desk") || !strings.Contains(out, "2 bans\n") {
		t.Errorf("list:\n%s", out)
	}
	if out := l.run("allow", "add", "203.0.113.128/25", "--for", "36h"); !strings.Contains(out, "203.0.113.128/25 is never banned until ") {
		t.Errorf("allow add:\n%s", out)
	}
	if out := l.run("list", "203.0.113.200"); !strings.Contains(out, "no ban holds 203.0.113.200") {
		t.Errorf("list of what was allowed:\n%s", out)
	}
	if _, out := l.code("allow"); !strings.Contains(out, "203.0.113.128/25  operator") || !strings.Contains(out, "198.51.100.0/24   config") {
		t.Errorf("allow:\n%s", out)
	}
	if out := l.run("__complete", "allow", "remove", ""); !strings.Contains(out, "203.0.113.128/25\t") {
		t.Errorf("completion:\n%s", out)
	}
	l.run("allow", "remove", "203.0.113.128/25")

	// What is refused: exit code 1 and what to do.
	for _, x := range []struct {
		want string
		args []string
	}{
		{"--force", []string{"ban", "203.0.0.0/12"}},
		{"allowlist holds it", []string{"ban", "198.51.100.7"}},
		{"take it out where it comes from", []string{"allow", "remove", "198.51.100.0/24"}},
		{"a great part of the Internet", []string{"allow", "add", "0.0.0.0/0"}},
		{"hint: 'postmoat unban --all'", []string{"unban", "0.0.0.0/0"}},
		{"hint: where the daemon runs, 'postmoat unban --all'", []string{"flush"}},
	} {
		if code, out := l.code(x.args[0], x.args[1:]...); code != 1 || !strings.Contains(out, x.want) {
			t.Errorf("%v: exit code %d\n%s", x.args, code, out)
		}
	}
	if code, out := l.code("ban", "203.0.113.1/24"); code != 2 {
		t.Errorf("wrong usage: exit code %d\n%s", code, out)
	}
	// The daemon finds some of it.
	if code, out := l.code("ban", "203.0.113.9", "--because", strings.Repeat("a", 201)); code != 2 || !strings.Contains(out, "longer than 200 bytes") {
		t.Errorf("a reason that is too long: exit code %d\n%s", code, out)
	}

	// Paused, and the configuration changed for the worse and the better.
	l.run("pause")
	await(" pause ")
	if _, out := l.code("status"); !strings.Contains(out, "paused by ") || !strings.Contains(out, "uid ") {
		t.Errorf("status:\n%s", out)
	}
	l.run("resume")
	good, err := os.ReadFile(l.config)
	if err != nil {
		t.Fatal(err)
	}
	rewrite := func(more string) {
		if err := os.WriteFile(l.config, append(slices.Clone(good), more...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rewrite("ban: {time: soon}\n")
	if code, out := l.code("reload", "--socket", filepath.Join(filepath.Dir(l.config), "s")); code != 1 || !strings.Contains(out, "soon") {
		t.Errorf("reload of a broken file: exit code %d\n%s", code, out)
	}
	rewrite("ban: {time: 2h}\n")
	if out := l.run("reload"); !strings.Contains(out, "- ban.time: 1h\n") || !strings.Contains(out, "+ ban.time: 2h\n") {
		t.Errorf("reload:\n%s", out)
	}

	l.run("unban", "--all")
	if out := l.run("list"); !strings.Contains(out, "no ban runs") {
		t.Errorf("list after unban --all:\n%s", out)
	}
	l.healthAndMetrics()
}

// healthAndMetrics: the exit code of status is its word on health; all metrics
// have their names.
func (l *live) healthAndMetrics() {
	l.t.Helper()
	var st daemon.Status
	code, out := l.code("status", "--format", "json")
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&st); err != nil || st.Healthy != (code == 0) || !st.DryRun || len(st.Sources) != 1 || st.Sources[0].Lines != 31 {
		l.t.Errorf("status: exit code %d %v\n%s", code, err, out)
	}
	socket := filepath.Join(filepath.Dir(l.config), "s")
	c := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) }}}
	defer c.CloseIdleConnections()
	a, err := c.Get("http://postmoat/metrics")
	if err != nil {
		l.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, line := range []string{`postmoat_offences_total{rule="unknown-recipients"} 31`, "postmoat_firewall_in_step 1", "postmoat_paused 0"} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			l.t.Errorf("metrics: no %s in\n%s", line, text)
		}
	}
}
