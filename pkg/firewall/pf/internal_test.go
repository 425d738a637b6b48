package pf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/pf/pftest"
)

// TestTimeout: a pfctl that hangs is ended, and the answer is uncertain.
func TestTimeout(t *testing.T) {
	w := pftest.New(t, pftest.OpenBSD)
	b, err := New(Options{Options: firewall.Options{Ports: [2][]uint16{{25}}}, Path: w.Path()})
	if err != nil {
		t.Fatal(err)
	}
	w.Change(func(s *pftest.State) { s.Hang = true })
	b.timeout = 50 * time.Millisecond
	if err := b.Setup(t.Context(), nil); !errors.Is(err, firewall.ErrUncertain) || firewall.Hint(err) == "" {
		t.Errorf("err = %v", err)
	}
}

func TestParseState(t *testing.T) {
	for line, want := range map[string]string{
		"all tcp 192.0.2.25:25 <- 198.51.100.7:51234       ESTABLISHED:ESTABLISHED":                  "198.51.100.7 [25]",
		"all tcp 10.0.0.2:2525 (192.0.2.25:25) <- 198.51.100.7:51234       ESTABLISHED:ESTABLISHED":  "198.51.100.7 [2525 25]",
		"ALL tcp 10.0.0.2:2525 <- 192.0.2.25:25 <- 198.51.100.7:51234       ESTABLISHED:ESTABLISHED": "198.51.100.7 [2525 25]",
		"em0 tcp 2001:db8::25[25] <- 2001:db8:7::1[51234]       ESTABLISHED:ESTABLISHED":             "2001:db8:7::1 [25]",
		"em0 tcp fe80::1%em0[25] <- fe80::2%em0[51234]       ESTABLISHED:ESTABLISHED":                "fe80::2 [25]",
		"all tcp 192.0.2.25:4000 -> 198.51.100.7:25       ESTABLISHED:ESTABLISHED":                   "",
		"all udp 192.0.2.25:53 <- 198.51.100.7:51234       MULTIPLE:MULTIPLE":                        "",
		"all icmp 192.0.2.25:8 <- 198.51.100.7:8       0:0":                                          "",
		"   age 00:00:10, expires in 23:59:50, 10:10 pkts, 600:600 bytes, rule 3":                    "",
		"all tcp <- 198.51.100.7:51234":                                                              "",
		"all tcp 192.0.2.25:25 <-":                                                                   "",
		"":                                                                                           "",
	} {
		got := ""
		if client, local := parseState(line); len(local) > 0 {
			got = fmt.Sprintf("%v %v", client, local)
		}
		if got != want {
			t.Errorf("parseState(%q) = %q, want %q", line, got, want)
		}
	}
}

func TestParseEntry(t *testing.T) {
	for line, want := range map[string]string{
		"   192.0.2.1": "false 192.0.2.1/32", "  !192.0.2.0/24": "true 192.0.2.0/24", "   2001:db8::/32": "false 2001:db8::/32",
		"   2001:db8::1": "false 2001:db8::1/128", "pfctl: oops": "", "": "", "   192.0.2.1 x": "", "   !": "",
	} {
		got := ""
		if f, err := parseEntry(line); err == nil {
			got = fmt.Sprintf("%v %v", f.negated, f.prefix)
		}
		if got != want {
			t.Errorf("parseEntry(%q) = %q, want %q", line, got, want)
		}
	}
}

func TestHalves(t *testing.T) {
	got := halves([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("::/0")})
	if want := "[0.0.0.0/1 128.0.0.0/1 2001:db8::/32 ::/1 8000::/1]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// TestLineWriter: lines arrive the same however they are cut, and one that does
// not end is an error.
func TestLineWriter(t *testing.T) {
	const text = "one\n\n\tthree\nfour\n"
	for size := 1; size <= len(text); size++ {
		var got []string
		w := lineWriter{f: func(s string) { got = append(got, s) }}
		for part := range slices.Chunk([]byte(text), size) {
			if n, err := w.Write(part); n != len(part) || err != nil {
				t.Fatalf("write: %d, %v", n, err)
			}
		}
		if err := w.end(); err != nil || !slices.Equal(got, []string{"one", "", "\tthree", "four"}) {
			t.Fatalf("by %d: %q, %v", size, got, err)
		}
	}
	w := lineWriter{f: func(string) {}}
	w.Write([]byte("half a li"))
	if w.end() == nil {
		t.Error("a line without end at the end is no error")
	}
	if _, err := w.Write(make([]byte, maxLine)); err == nil {
		t.Error("a line without end is no error")
	}
}

func TestTail(t *testing.T) {
	w := tail{limit: 5}
	for _, s := range []string{"abc", "defg", "0123456789"} {
		w.Write([]byte(s))
		if len(w.buf) > 5 {
			t.Errorf("%q", w.buf)
		}
	}
	if string(w.buf) != "56789" {
		t.Errorf("%q", w.buf)
	}
	long := &refusal{1, strings.Repeat("x", 1000) + "\nthe end"}
	if s := long.Error(); len(s) > 400 || !strings.Contains(s, "the end") {
		t.Errorf("%q", s)
	}
}

// TestExplain: texts as the systems write them, among notes, with and without
// the full stop.
func TestExplain(t *testing.T) {
	for text, kind := range map[string]error{
		"pfctl: /dev/pf: Permission denied\n":                                                        firewall.ErrNotPermitted,
		"pfctl: /dev/pf: No such file or directory":                                                  firewall.ErrMissingModule,
		"pfctl: /dev/pf: Device not configured":                                                      firewall.ErrMissingModule,
		"pfctl: DIOCXBEGIN: Operation not permitted":                                                 firewall.ErrNotPermitted,
		"pfctl: Operation not permitted.\n":                                                          firewall.ErrGone,
		"No ALTQ support in kernel\nALTQ related functions disabled\npfctl: Table does not exist.\n": firewall.ErrGone,
		"pfctl: Table does not exist\n":                                                              firewall.ErrGone,
		"pfctl: Anchor or Ruleset does not exist.\n":                                                 firewall.ErrGone,
		"pfctl: Cannot allocate memory\n":                                                            firewall.ErrSetFull,
		"1 table created.\npfctl: Invalid argument.\n":                                               firewall.ErrSetFull,
		"pfctl: cannot decode 192.0.2.1/33: Invalid argument\n":                                      nil,
		"stdin:1: syntax error\n":                                                                    nil,
	} {
		err := explain("apply", &refusal{255, text})
		_, typed := errors.AsType[*firewall.Error](err)
		if typed != (kind != nil) || kind != nil && !errors.Is(err, kind) || typed && firewall.Hint(err) == "" {
			t.Errorf("%q: %v", text, err)
		}
		if !strings.HasPrefix(err.Error(), "pf: apply: ") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := New(Options{Options: firewall.Options{Ports: [2][]uint16{{25}}}, MaxAge: -1}); err == nil {
		t.Error("a negative age, no error")
	}
}
