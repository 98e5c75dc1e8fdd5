/* libcrypto, loaded when the first signature is checked: see curl.c beside this. Without it no signature can be made, and so
 * none holds. */
#include <dlfcn.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <pthread.h>

static struct {
  const EVP_MD *(*sha256)(void);
  unsigned char *(*hmac)(const EVP_MD *digest, const void *key, int key_length, const unsigned char *data,
                         size_t length, unsigned char *mac, unsigned int *mac_length);
  int (*compare)(const void *a, const void *b, size_t length);
} real;

static void load(void) {
  void *library = dlopen(PS_LIBCRYPTO, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
  if (!library) return;
  *(void **)&real.sha256 = dlsym(library, "EVP_sha256");
  *(void **)&real.hmac = dlsym(library, "HMAC");
  *(void **)&real.compare = dlsym(library, "CRYPTO_memcmp");
}

static void need(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
}

const EVP_MD *EVP_sha256(void) {
  need();
  return real.sha256 ? real.sha256() : NULL;
}

unsigned char *HMAC(const EVP_MD *digest, const void *key, int key_length, const unsigned char *data, size_t length,
                    unsigned char *mac, unsigned int *mac_length) {
  need();
  return digest && real.hmac ? real.hmac(digest, key, key_length, data, length, mac, mac_length) : NULL;
}

int CRYPTO_memcmp(const void *a, const void *b, size_t length) {
  need();
  return real.compare ? real.compare(a, b, length) : 1;
}
