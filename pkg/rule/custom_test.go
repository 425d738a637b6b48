package rule

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/postmoat/postmoat/pkg/maillog"
)

func customSpec(name, program, pattern string, when ...string) Spec {
	s := spec(name, 3, append([]string{"program", program, "pattern", pattern}, when...)...)
	s.Door = "login"
	return s
}

func line(tag, message string) *maillog.Event {
	return texts{maillog.Tag: tag, maillog.Message: message}.in(maillog.Event{})
}

func TestPatternsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ pattern, want string }{
		{`from (?P<client>[^ ]+)`, "must begin with ^"},
		{`(?i)^from (?P<client>[^ ]+)`, "must begin with ^"},
		{`^|from (?P<client>[^ ]+)`, "in every branch"},
		{`^a|^b (?P<client>[^ ]+)`, "in every branch"},
		{`^from [^ ]+`, "has no group for the client"},
		{`^.*from (?P<client>[^ ]+)`, "nothing may be unbounded but [^ ]+"},
		{`^\S+ (?P<client>[^ ]+)`, "nothing may be unbounded but [^ ]+"},
		{`^\S* (?P<client>[^ ]+)`, "nothing may be unbounded but [^ ]+"},
		{`^[^ ]* (?P<client>[^ ]+)`, "nothing may be unbounded but [^ ]+"},
		{`^[0-9]+ (?P<client>[^ ]+)`, "nothing may be unbounded but [^ ]+"},
		{`^(?:x )+(?P<client>[^ ]+)`, "nothing may be unbounded but [^ ]+"},
		{`^(?P<sasl_user>.+) (?P<client>[^ ]+)`, "nothing may be unbounded but [^ ]+"},
		{`^(?:a|.*) (?P<client>[^ ]+)`, "nothing may be unbounded but [^ ]+"},
		{`^[a-z]{3,} (?P<client>[^ ]+)`, "nothing may be unbounded but [^ ]+"},
		{`^.{0,20}(?P<client>[^ ]+)`, "a repeat may not take in a blank"},
		{`^[a-z ]{0,20}(?P<client>[^ ]+)`, "a repeat may not take in a blank"},
		{`^(?:a ){2}(?P<client>[^ ]+)`, "a repeat may not take in a blank"},
		{`^a.b (?P<client>[^ ]+)`, `a lone . is any byte: write \.`},
		{`^(?: (?P<client>[^ ]+))+`, "the group client is repeated"},
		{`^(?:x (?P<client>[^ ]+)){1,3}`, "the group client is repeated"},
		{`^(?P<client>[^ ]+`, "missing closing )"},
		{`^(?P<client>[^ ]+) (?P<user>.*)`, `there is no use for a group "user"`},
		{`^(?P<client>[^ ]+) (?P<sasluser>.*)`, `did you mean "sasl_user"?`},
	} {
		_, err := Compile([]Spec{customSpec("r", "sshd", c.pattern)}, []string{"day"})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngot  %v\nwant %s", c.pattern, err, c.want)
		}
	}
}

func TestPatternsThatAreTaken(t *testing.T) {
	for _, p := range []string{
		`^Failed password for [^ ]+ from (?P<client>[^ ]+) port`,
		`^(?:invalid|illegal) user (?P<sasl_user>[^ ]+) from (?P<client>[0-9a-f.:]+)`,
		`^error: [0-9]{1,5}: (?:warn )?(?P<client>.*)$`,
		`^(?P<client>[^ ]+) (?P<helo>.*)`,
		`^(from (?P<client>\S+)|by (?:x)) .*`,
	} {
		if _, err := Compile([]Spec{customSpec("r", "sshd", p)}, []string{"day"}); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestMatchCustom(t *testing.T) {
	set := compile(t,
		customSpec("fail", "sogod", `^(?P<client>[^ ]+) login of (?P<sasl_user>[^ ]+) failed`),
		customSpec("root", "SOGo*", `^(?P<client>[^ ]+) login of (?P<sasl_user>[^ ]+) failed`, "sasl_user", "root", "sasl_user", "admin"),
		customSpec("other", "sogod", `^[^ ]+ login of [^ ]+ failed (?P<client>[^ ]+)`),
		spec("grammar", 1, "kind", "smtpd.reject"),
	)
	if !set.HasCustom() || compile(t, spec("x", 1, "kind", "smtpd.reject")).HasCustom() {
		t.Error("HasCustom")
	}
	for _, c := range []struct {
		tag, msg, client, user string
		rules                  string
	}{
		{"sogod", "192.0.2.1 login of bob failed", "192.0.2.1", "bob", "fail"},
		{"sogod", "192.0.2.1 login of Root failed", "192.0.2.1", "Root", "fail root"},
		{"sogo-x", "192.0.2.1 login of root failed", "192.0.2.1", "root", "root"},
		{"sogo-x", "192.0.2.1 login of bob failed", "", "", ""},
		{"sogod", "192.0.2.1 login of bob failed 203.0.113.9", "192.0.2.1", "bob", "fail"}, // who blames another does not count
		{"sogod", "localhost login of bob failed 203.0.113.9", "203.0.113.9", "", "other"},
		{"sogod", "::ffff:192.0.2.1 login of bob failed", "192.0.2.1", "bob", "fail"},
		{"sogod", "fe80::1%eth0 login of bob failed", "", "", ""},
		{"postfix/smtpd", "192.0.2.1 login of bob failed", "", "", ""},
		{"sogod", "nonsense", "", "", ""},
		{"", "192.0.2.1 login of bob failed", "", "", ""},
		{"sogod", "192.0.2.1 login of " + strings.Repeat("x", 5000) + " failed", "", "", ""},
	} {
		ev := line(c.tag, c.msg)
		a, hits := set.MatchCustom(ev)
		var names []string
		if hits[maillog.Login] != nil {
			for _, r := range hits[maillog.Login].Rules {
				names = append(names, r.Name)
			}
		}
		client := ""
		if a.IsValid() {
			client = a.String()
		}
		if got := strings.Join(names, " "); got != c.rules || client != c.client || string(ev.Text(maillog.SASLUser)) != c.user {
			t.Errorf("%s: %.60s: client %q, user %q, rules %q", c.tag, c.msg, client, ev.Text(maillog.SASLUser), got)
		}
		if hits[maillog.SMTP] != nil {
			t.Errorf("%s: scored at the wrong door", c.msg)
		}
	}
}

func TestCheckHostile(t *testing.T) {
	set := compile(t,
		customSpec("loose", "sogod", `^warning: (?:non-SMTP command from )?[^ ]+ [^ ]+ (?P<client>[0-9.]+)`),
		customSpec("right", "sogod", `^warning: (?P<client>[0-9.]+)`),
	)
	got := set.CheckHostile([]HostileLine{
		{"Nov 23 08:59:02 mx1 postfix/smtpd[1]: warning: numeric hostname: 203.0.113.9", netip.Addr{}, Pos{"h", 1}},
		{"Nov 23 08:59:02 mx1 postfix/smtpd[1]: warning: 198.51.100.1: hostname 203.0.113.9 verification failed: x", netip.MustParseAddr("198.51.100.1"), Pos{"h", 2}},
	})
	if len(got) != 2 || got[0].Rule != "loose" || got[1].Rule != "loose" ||
		!strings.Contains(got[0].Error(), "blames 203.0.113.9, right is nobody") || !strings.Contains(got[1].Error(), "right is 198.51.100.1") {
		t.Errorf("%v", got)
	}
}
