package report

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/source"
)

// TestBatchIsBounded: a block of short lines takes no memory for events that are
// not there, and one of many short events loses none.
func TestBatchIsBounded(t *testing.T) {
	find := func(data []byte, custom bool) *batch {
		b := &batch{}
		path := filepath.Join(t.TempDir(), "mail.log")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		when := func([]byte, time.Time) (time.Time, bool) { return time.Time{}, false }
		_, err := source.ReadArchives(t.Context(), []string{path}, source.ArchiveOptions{Time: when, Block: blockSize}, func(block *source.Block) error {
			block.Retain()
			b.block = block
			b.parse(new(maillog.Parser), custom)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if b := find(bytes.Repeat([]byte{'\n'}, 200_000), false); len(b.found) != 0 || cap(b.found) > 5000 {
		t.Errorf("%d events, room for %d", len(b.found), cap(b.found))
	}
	line := []byte("Nov  5 08:46:49 m x: y\n") // wanted where a rule has a pattern
	b := find(bytes.Repeat(line, 10_000), true)
	if len(b.found) != 10_000 {
		t.Fatalf("%d events of 10000", len(b.found))
	}
	for i, x := range b.found {
		if x.line != uint64(i+1) || string(x.ev.Text(maillog.Message)) != "y" {
			t.Fatalf("event %d is %q of line %d", i, x.ev.Text(maillog.Message), x.line)
		}
	}
}
