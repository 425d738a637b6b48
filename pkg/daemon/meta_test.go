package daemon

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// fill gives each field a value of its own.
func fill(v reflect.Value, n *int64) {
	*n++
	switch x := v.Addr().Interface().(type) {
	case *netip.Addr:
		*x = netip.AddrFrom4([4]byte{10, 0, byte(*n >> 8), byte(*n)})
		return
	case *netip.Prefix:
		*x = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 14: byte(*n >> 8), 15: byte(*n)}), 128)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d \xff", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(uint64(*n) & 0xff)
	case reflect.Uint64:
		v.SetUint(1<<63 + uint64(*n))
	case reflect.Uint32:
		v.SetUint(1<<31 + uint64(*n))
	case reflect.Int64:
		v.SetInt(-1 << 62 * (*n & 1))
	case reflect.Int:
		v.SetInt(*n)
	default:
		panic("meta has a " + v.Type().String())
	}
}

// TestMeta: every field comes back, and reading ends where the engine's state
// begins.
func TestMeta(t *testing.T) {
	var m meta
	var n int64
	fill(reflect.ValueOf(&m).Elem(), &n)
	for _, m := range []meta{m, {}} {
		var b bytes.Buffer
		if err := m.encode(&b); err != nil {
			t.Fatal(err)
		}
		text := b.Bytes()
		r := io.MultiReader(bytes.NewReader(text), strings.NewReader("the engine's"))
		got, err := decodeMeta(r)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
			t.Error(diff)
		}
		if rest, _ := io.ReadAll(r); string(rest) != "the engine's" {
			t.Errorf("left over: %q", rest)
		}
		// What is damaged or cut off is not taken.
		for i := range text {
			bad := bytes.Clone(text)
			bad[i] ^= 0x10
			r := io.MultiReader(bytes.NewReader(bad), strings.NewReader("the engine's"))
			if _, err := decodeMeta(r); err == nil {
				// A length that is too long leaves the engine nothing.
				if rest, _ := io.ReadAll(r); len(rest) > 0 {
					t.Errorf("byte %d of %d may be anything", i, len(text))
				}
			}
			if _, err := decodeMeta(bytes.NewReader(text[:i])); err == nil {
				t.Errorf("%d bytes of %d are enough", i, len(text))
			}
		}
	}
}
