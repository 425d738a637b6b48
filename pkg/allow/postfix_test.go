package allow

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const mainCf = `mynetworks = 127.0.0.0/8 [::1]/128 192.0.2.0/24 /etc/postfix/nets
proxy_interfaces = 203.0.113.25
inet_interfaces = mail.example.org, 192.0.2.5
smtpd_authorized_xclient_hosts = [2001:db8::c] filter.example.org
smtpd_authorized_xforward_hosts =
relayhost = [relay.example.net]:587
myhostname = mail.example.org
mydomain = example.org
config_directory = /etc/postfix
mydestination = mail.example.org, localhost.example.org, localhost, example.org
relay_domains = example.com
virtual_mailbox_domains = hash:/etc/postfix/virtual
virtual_alias_domains =
`

func postWorld(t *testing.T) *world {
	w := newWorld(t)
	w.runs["postconf -x mynetworks"] = mainCf
	w.runs["postconf -x -P"] = "127.0.0.1:10025/inet/mynetworks = 127.0.0.0/8\nsmtp/inet/smtpd_authorized_xclient_hosts = 198.51.100.99\nsmtp/inet/smtpd_tls_security_level = may\n"
	w.write("/etc/postfix/main.cf", "x")
	w.write("/etc/postfix/nets", "198.51.100.0/28\n")
	w.write("/etc/postfix/virtual", "example.info x\n")
	w.dns.set("ip4 mail.example.org", "192.0.2.5")
	w.dns.set("ip4 relay.example.net", "203.0.113.1")
	w.dns.set("ip4 filter.example.org", "203.0.113.2")
	w.dns.set("mx example.org", "mail.example.org. backup.example.net.")
	w.dns.set("mx example.com", "mx.example.com.")
	w.dns.set("ip4 backup.example.net", "203.0.113.3")
	w.dns.set("ip6 mx.example.com", "2001:db8::4")
	return w
}

func TestPostfix(t *testing.T) {
	w := postWorld(t)
	l := w.collect(New(hostOptions(w)))
	expect(t, "entries", lines(l),
		"192.0.2.0/24 postfix mynetworks",
		"192.0.2.5/32 postfix inet_interfaces",
		"192.0.2.5/32 postfix inet_interfaces: mail.example.org",
		"198.51.100.0/28 postfix mynetworks (/etc/postfix/nets:1)",
		"198.51.100.99/32 postfix smtpd_authorized_xclient_hosts of smtp/inet",
		"203.0.113.1/32 postfix relayhost",
		"203.0.113.2/32 postfix smtpd_authorized_xclient_hosts: filter.example.org",
		"203.0.113.3/32 postfix mx of example.org: backup.example.net",
		"203.0.113.25/32 postfix proxy_interfaces",
		"2001:db8::4/128 postfix mx of example.com: mx.example.com",
		"2001:db8::c/128 postfix smtpd_authorized_xclient_hosts",
	)
	expect(t, "problems", problems(l)) // example.info has no MX: that is no problem
	if w.dns.times("mx example.info") != 1 || w.dns.times("mx localhost.example.org") != 1 || w.dns.times("mx localhost") != 0 || w.dns.times("mx mail.example.org") != 0 {
		t.Fatalf("asked %q", w.dns.asked)
	}
}

func TestRelayhosts(t *testing.T) {
	for _, c := range []struct{ value, entry, host, domain string }{
		{"[relay.example.net]:587", "", "relay.example.net", ""},
		{"[Relay.Example.Net.]", "", "relay.example.net", ""},
		{"example.net:submission", "", "", "example.net"},
		{"example.net", "", "", "example.net"},
		{"[192.0.2.1]:25", "192.0.2.1/32", "", ""},
		{"192.0.2.1:25", "192.0.2.1/32", "", ""},
		{"[2001:db8::1]:25", "2001:db8::1/128", "", ""},
		{"[ipv6:2001:db8::1]", "2001:db8::1/128", "", ""},
		{"2001:db8::1", "2001:db8::1/128", "", ""},
		{"[127.0.0.1]:10026", "", "", ""},
	} {
		var pt part
		relayhost(c.value, "relayhost", &pt)
		entry, host, domain := "", "", ""
		for _, e := range pt.entries {
			entry += e.Prefix.String()
		}
		for _, u := range pt.uses {
			if !u.strict || u.mx != u.host {
				t.Errorf("%q: %+v", c.value, u)
			}
			if u.mx {
				domain += u.name
			} else {
				host += u.name
			}
		}
		if entry != c.entry || host != c.host || domain != c.domain || len(pt.problems) > 0 {
			t.Errorf("%q: entry %q, host %q, domain %q, problems %v", c.value, entry, host, domain, pt.problems)
		}
	}
	for _, value := range []string{"[relay.example.net", "re lay..x", "$x"} {
		var pt part
		if relayhost(value, "relayhost", &pt); len(pt.problems) == 0 {
			t.Errorf("%q is no problem: %+v", value, pt)
		}
	}
}

func TestRelayDomainStandsForItsExchangersOrItself(t *testing.T) {
	w := newWorld(t)
	w.runs["postconf -x mynetworks"] = "relayhost = example.net\n"
	w.dns.set("ip4 example.net", "203.0.113.1")
	w.dns.set("ip4 out.example.net", "203.0.113.2")
	c := New(hostOptions(w))
	expect(t, "no MX", lines(w.collect(c)), "203.0.113.1/32 postfix relayhost")
	w.dns.set("mx example.net", "out.example.net.")
	l := w.collect(c)
	expect(t, "an MX", append(lines(l), problems(l)...), "203.0.113.2/32 postfix relayhost: out.example.net")

	w.dns.set("mx example.net", errServfail)
	w.dns.set("ip4 out.example.net", errServfail)
	c2 := New(hostOptions(w))
	expectOne(t, w.collect(c2), NoWidening, "example.net is not resolved yet", "server misbehaving")
	l = w.collect(c)
	expect(t, "the last good answer", lines(l), "203.0.113.2/32 postfix relayhost: out.example.net")
	w.pass(8 * 24 * time.Hour)
	l = w.refresh(c)
	expect(t, "eight days later", lines(l))
	expectOne(t, l, Alarm, "example.net is not resolved (")
}

func TestWordsOfInetInterfacesAreNoNames(t *testing.T) {
	for _, word := range []string{"all", "loopback-only"} {
		w := newWorld(t)
		w.runs["postconf -x mynetworks"] = "inet_interfaces = " + word + "\n"
		l := w.collect(New(hostOptions(w)))
		expect(t, word, append(lines(l), problems(l)...))
		if len(w.dns.asked) > 0 {
			t.Errorf("%s: asked %q", word, w.dns.asked)
		}
	}
}

func TestPostfixThatIsNotThere(t *testing.T) {
	w := newWorld(t)
	l := w.collect(New(hostOptions(w)))
	expect(t, "problems", problems(l))
	for _, s := range l.Sources() {
		if s.Name == "postfix" && s.Text == "no postconf on this host" {
			return
		}
	}
	t.Fatalf("sources %v", l.Sources())
}

func TestPostconfThatFails(t *testing.T) {
	w := newWorld(t)
	w.runs["postconf"] = "fail"
	c := New(hostOptions(w))
	expectOne(t, w.collect(c), NoWidening, "postfix: run postconf: exit status 1", "no wider bans until")
	w.pass(10 * time.Minute)
	expectOne(t, w.refresh(c), Alarm, "list them in allow.networks")
	w.runs["postconf"] = "mynetworks = 192.0.2.0/24\n"
	w.pass(time.Minute)
	l := w.refresh(c)
	expect(t, "at last", append(lines(l), problems(l)...), "192.0.2.0/24 postfix mynetworks")
	for _, out := range []string{"fail", ""} {
		if w.runs["postconf"] = out; out == "" {
			delete(w.runs, "postconf") // a package upgrade
		}
		l = w.collect(c)
		expect(t, "last good", lines(l), "192.0.2.0/24 postfix mynetworks")
		expectOne(t, l, Alarm, "what it said before stays in force")
	}
}

func TestPostconfRunsAgainWhenAFileChanges(t *testing.T) {
	w := postWorld(t)
	c := New(hostOptions(w))
	w.collect(c)
	w.runs["postconf -x mynetworks"] = "mynetworks = 203.0.113.0/24\nconfig_directory = /etc/postfix\n"
	w.pass(time.Minute)
	if got := lines(w.refresh(c)); len(got) != 11 {
		t.Fatalf("entries without a change: %q", got)
	}
	w.write("/etc/postfix/main.cf", "longer")
	w.pass(time.Minute)
	expect(t, "changed", lines(w.refresh(c)),
		"198.51.100.99/32 postfix smtpd_authorized_xclient_hosts of smtp/inet", "203.0.113.0/24 postfix mynetworks")
	w.runs["postconf -x mynetworks"] = "mynetworks = 203.0.113.0/25\nconfig_directory = /etc/postfix\n"
	w.pass(10 * time.Minute)
	if got := lines(w.refresh(c))[1]; got != "203.0.113.0/25 postfix mynetworks" {
		t.Fatalf("after ten minutes: %s", got)
	}
}

func TestInstancesOfPostfix(t *testing.T) {
	w := newWorld(t)
	w.runs["postconf -x mynetworks"] = "mynetworks = 192.0.2.0/24\nconfig_directory = /etc/postfix\n"
	w.runs["postmulti -l"] = "-               -               y         /etc/postfix\npostfix-out     mta             y         /etc/postfix-out\npostfix-bad     -               n         /etc/postfix-bad\n"
	w.runs["postconf -c /etc/postfix-out -x mynetworks"] = "mynetworks = 198.51.100.0/24\nrelayhost = [203.0.113.1]\n"
	w.runs["postconf -c /etc/postfix-bad"] = "fail"
	l := w.collect(New(hostOptions(w)))
	expect(t, "entries", lines(l), "192.0.2.0/24 postfix mynetworks",
		"198.51.100.0/24 postfix mynetworks of /etc/postfix-out", "203.0.113.1/32 postfix relayhost of /etc/postfix-out")
	expectOne(t, l, Alarm, "instance /etc/postfix-bad")
}

func TestDomainsWithManyExchangersAreBounded(t *testing.T) {
	w := newWorld(t)
	var domains []string
	for i := range 100 {
		domains = append(domains, fmt.Sprintf("d%d.example", i))
	}
	w.runs["postconf -x mynetworks"] = "mydestination = " + strings.Join(domains, ", ") + "\n"
	l := w.collect(New(hostOptions(w)))
	expectOne(t, l, Note, "first 64 of 100 domains")
	if got := len(w.dns.asked); got != maxDomains {
		t.Fatalf("asked %d times", got)
	}
}

func TestOpenRelayIsAnAlarm(t *testing.T) {
	w := newWorld(t)
	w.runs["postconf -x mynetworks"] = "mynetworks = 0.0.0.0/0\n"
	expectOne(t, w.collect(New(hostOptions(w))), Alarm, "mynetworks", "0.0.0.0/0 is a great part of the Internet")
}
