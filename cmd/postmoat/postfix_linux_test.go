package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
)

// mainCF is Postfix's configuration in a folder: a host that takes mail for
// postmaster@example.net and is told no names by anybody.
const mainCF = `compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
maillog_file = %[1]s/mail.log
maillog_file_prefixes = %[1]s
myhostname = mx1.example.net
mydestination = example.net
mynetworks = 127.0.0.0/8
local_recipient_maps = inline:{postmaster=yes}
alias_maps =
alias_database =
inet_interfaces = all
inet_protocols = all
smtpd_peername_lookup = no
smtpd_relay_restrictions = reject_unauth_destination
smtpd_error_sleep_time = 0
`

const masterCF = `smtp      inet  n - n - -  smtpd
anvil     unix  - - n - 1  anvil
bounce    unix  - - n - 0  bounce
cleanup   unix  n - n - 0  cleanup
defer     unix  - - n - 0  bounce
pickup    unix  n - n 60 1 pickup
postlog   unix-dgram n - n - 1 postlogd
proxymap  unix  - - n - -  proxymap
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - -  trivial-rewrite
tlsmgr    unix  - - n 1000? 1 tlsmgr
`

// startPostfix starts a Postfix whose files are all in the folder of a host, at
// port 25 of the namespace of the test, and returns when it answers.
func startPostfix(t *testing.T, h *host) {
	t.Helper()
	config := filepath.Join(h.dir, "postfix")
	uid, gid := numbers(t, "postfix")
	for _, err := range []error{
		os.Chmod(h.dir, 0o755), // it is used as another user
		os.Mkdir(config, 0o755),
		os.Mkdir(filepath.Join(h.dir, "spool"), 0o755),
		os.Mkdir(filepath.Join(h.dir, "data"), 0o700),
		os.Chown(filepath.Join(h.dir, "data"), uid, gid),
		os.WriteFile(filepath.Join(config, "main.cf"), fmt.Appendf(nil, mainCF, h.dir), 0o644),
		os.WriteFile(filepath.Join(config, "master.cf"), []byte(masterCF), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	c := exec.Command("postfix", "-c", config, "start-fg")
	c.Stdout, c.Stderr = &said, &said
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	c.WaitDelay = time.Second // children may hold the pipe
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Wait()
	}()
	t.Cleanup(func() {
		exec.Command("postfix", "-c", config, "stop").Run()
		select {
		case <-ended:
		case <-time.After(patience):
			c.Process.Kill()
			<-ended
		}
		syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		if t.Failed() {
			text, _ := os.ReadFile(h.path())
			t.Logf("Postfix said:\n%s%s", &said, text)
		}
	})
}

func numbers(t *testing.T, name string) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return uid, gid
}

// A bouncer is a client in a session with Postfix, with a message without a
// sender to deliver.
type bouncer struct {
	conn net.Conn
	text *textproto.Conn
}

func newBouncer(t *testing.T, hosts *firewalltest.Net, client string) *bouncer {
	t.Helper()
	c, err := hosts.Dial(client, 25, patience)
	if err != nil {
		t.Fatalf("%s: %v", client, err)
	}
	b := &bouncer{c, textproto.NewConn(c)}
	if _, err := b.text.ReadLine(); err != nil { // the rest of the greeting
		t.Fatal(err)
	}
	b.say(t, "HELO mail.example.com", 250)
	b.say(t, "MAIL FROM:<>", 250)
	return b
}

func (b *bouncer) say(t *testing.T, line string, want int) {
	t.Helper()
	if err := b.text.PrintfLine("%s", line); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if _, text, err := b.text.ReadResponse(want); err != nil {
		t.Fatalf("%s: %v %s", line, err, text)
	}
}

// TestLivePostfix: clients talk to a real Postfix until they are banned for what
// it writes about them.
func TestLivePostfix(t *testing.T) {
	firewalltest.NeedNamespace(t)
	firewalltest.NeedTool(t, "nft")
	if os.Geteuid() != 0 || firewalltest.InUserNamespace() {
		t.Skip("Postfix can only be started by root")
	}
	firewalltest.NeedTool(t, "postfix")
	const attacker, neighbour, attacker6, neighbour6 = "192.0.2.7", "192.0.2.8", "2001:db8:0:700::7", "2001:db8:0:701::7"
	hosts := firewalltest.NewCable(t, attacker, neighbour, attacker6, neighbour6)
	h := newHost(t, program(t), "")
	startPostfix(t, h)
	h.eventually("Postfix answers", func() bool { return hosts.Try(neighbour, 25, patience) == firewalltest.Through })
	h.start()
	for _, client := range []string{attacker, attacker6} {
		b := newBouncer(t, hosts, client)
		defer b.conn.Close()
		for n := range 9 {
			b.say(t, fmt.Sprintf("RCPT TO:<nobody%d@example.net>", n), 550)
		}
		h.scored(client, 9)
		// The answer to the tenth may or may not come before the ban.
		if err := b.text.PrintfLine("RCPT TO:<nobody9@example.net>"); err != nil {
			t.Fatal(err)
		}
		h.cut(hosts, client)
		// Its session is over, too.
		b.conn.SetDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, b.text.R); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: its session goes on", client)
		}
	}
	hosts.Expect(t, neighbour, 25, firewalltest.Through)
	hosts.Expect(t, neighbour6, 25, firewalltest.Through)
	out := h.run("explain", attacker)
	for _, want := range []string{attacker + "/32", "unknown-recipients-null", "smtp"} {
		if !strings.Contains(out, want) {
			t.Errorf("explain does not say %q:\n%s", want, out)
		}
	}
	h.run("unban", attacker)
	hosts.Expect(t, attacker, 25, firewalltest.Through)
	hosts.Expect(t, attacker6, 25, firewalltest.Nothing)
	h.stop()
}
