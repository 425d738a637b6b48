package main

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"
)

// TestBar: a line is drawn in place of the one before, only when it says
// something new, and none is left at the end.
func TestBar(t *testing.T) {
	var out bytes.Buffer
	b := &bar{w: &out}
	at := func(read, total int64, after time.Duration, want string) {
		t.Helper()
		out.Reset()
		b.show(read, total, b.began.Add(after))
		if want != "" {
			want = "\r\x1b[K" + want
		}
		if out.String() != want {
			t.Errorf("%q, want %q", out.String(), want)
		}
	}
	b.done()
	if out.Len() > 0 {
		t.Errorf("%q to take away what was not there", out.String())
	}
	at(0, 400e6, 0, "reading   0% [                              ] 0 MB of 400 MB")
	at(100e6, 400e6, 10*time.Second, "reading  25% [#######                       ] 100 MB of 400 MB, 30s left")
	at(100e6+1, 400e6, 10*time.Second, "")
	at(500e6, 400e6, 40*time.Second, "reading 100% [##############################] 500 MB of 400 MB, 0s left")
	at(7e6, 0, time.Second, "reading 7 MB")
	out.Reset()
	b.done()
	if out.String() != "\r\x1b[K" {
		t.Errorf("%q", out.String())
	}
}

// TestBarWithoutTerminal: nothing is drawn into a file, and a terminal that has
// gone is let be.
func TestBarWithoutTerminal(t *testing.T) {
	if show, done := progress(io.Discard); show != nil || done == nil {
		t.Error("a bar for what is no terminal")
	}
	r, w := io.Pipe()
	r.CloseWithError(errors.New("gone"))
	b := &bar{w: w}
	b.show(1, 2, b.began)
	if b.w != nil {
		t.Error("it goes on drawing")
	}
	b.show(2, 2, b.began)
	b.done()
}
