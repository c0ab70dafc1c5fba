/* gelf.h: the part of libelf that memtap uses, in a build without libelf.
 *
 * Decides: which ELF files can be read without the library: 64-bit ones, uncompressed sections. This folder is on the
 * include path only then, so elf_file.c, symtab.c and plt.c are the same source in both builds. Names are libelf's, and
 * stand for ours in the object code. Every offset and count of the image is hostile: whatever is returned lies inside it.
 * Rejected: our own reader in every build (libdw needs libelf's handle, and two readers of one file can disagree).
 * Context: [tool].
 */
#ifndef MT_SYMBOL_GELF_GELF_H
#define MT_SYMBOL_GELF_GELF_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

typedef Elf64_Ehdr GElf_Ehdr;
typedef Elf64_Shdr GElf_Shdr;
typedef Elf64_Phdr GElf_Phdr;
typedef Elf64_Sym GElf_Sym;
typedef Elf64_Rela GElf_Rela;
typedef Elf64_Nhdr GElf_Nhdr;
typedef Elf64_Chdr GElf_Chdr;
#define GELF_ST_BIND ELF64_ST_BIND
#define GELF_ST_TYPE ELF64_ST_TYPE
#define GELF_R_SYM ELF64_R_SYM

typedef struct mt_gelf Elf;
typedef struct mt_gelf_section Elf_Scn;
typedef enum { ELF_K_NONE, ELF_K_ELF } Elf_Kind;
typedef enum { ELF_T_BYTE, ELF_T_NHDR, ELF_T_NHDR8 } Elf_Type;

/* Bytes of the image. */
typedef struct {
    void *d_buf;
    size_t d_size;
    Elf_Type d_type;
} Elf_Data;

#define elf_version mt_gelf_version
#define elf_memory mt_gelf_memory
#define elf_end mt_gelf_end
#define elf_kind mt_gelf_kind
#define gelf_getehdr mt_gelf_header
#define elf_getshdrnum mt_gelf_section_count
#define elf_getshdrstrndx mt_gelf_names_section
#define elf_getphdrnum mt_gelf_segment_count
#define gelf_getphdr mt_gelf_segment
#define elf_nextscn mt_gelf_next_section
#define elf_getscn mt_gelf_section
#define elf_ndxscn mt_gelf_section_number
#define gelf_getshdr mt_gelf_section_header
#define elf_strptr mt_gelf_string
#define elf_getdata mt_gelf_data
#define elf_getdata_rawchunk mt_gelf_chunk
#define gelf_getnote mt_gelf_note
#define gelf_getsym mt_gelf_symbol
#define gelf_getrela mt_gelf_relocation
#define gelf_getchdr mt_gelf_compression
#define elf_compress mt_gelf_compress

/* As libelf's functions of those names (elfutils, libelf.h and gelf.h), for the arguments memtap gives. */
unsigned elf_version(unsigned version);
Elf *elf_memory(char *image, size_t bytes); /* the image is borrowed; NULL when it is no 64-bit ELF file */
int elf_end(Elf *elf);
Elf_Kind elf_kind(Elf *elf);
GElf_Ehdr *gelf_getehdr(Elf *elf, GElf_Ehdr *ret);
int elf_getshdrnum(Elf *elf, size_t *ret);
int elf_getshdrstrndx(Elf *elf, size_t *ret);
int elf_getphdrnum(Elf *elf, size_t *ret);
GElf_Phdr *gelf_getphdr(Elf *elf, int number, GElf_Phdr *ret);
Elf_Scn *elf_nextscn(Elf *elf, Elf_Scn *section);
Elf_Scn *elf_getscn(Elf *elf, size_t number);
size_t elf_ndxscn(Elf_Scn *section);
GElf_Shdr *gelf_getshdr(Elf_Scn *section, GElf_Shdr *ret);
char *elf_strptr(Elf *elf, size_t section, size_t offset);
Elf_Data *elf_getdata(Elf_Scn *section, Elf_Data *must_be_null);
Elf_Data *elf_getdata_rawchunk(Elf *elf, int64_t offset, size_t bytes, Elf_Type type); /* one at a time */
size_t gelf_getnote(Elf_Data *data, size_t at, GElf_Nhdr *ret, size_t *ret_name_at, size_t *ret_desc_at);
GElf_Sym *gelf_getsym(Elf_Data *data, int number, GElf_Sym *ret);
GElf_Rela *gelf_getrela(Elf_Data *data, int number, GElf_Rela *ret);
GElf_Chdr *gelf_getchdr(Elf_Scn *section, GElf_Chdr *ret);
int elf_compress(Elf_Scn *section, int type, unsigned flags); /* always fails: nothing here decompresses */

#endif
