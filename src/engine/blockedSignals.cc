// While TensorFlow computes, its threads take no signals. A matrix product of its oneDNN (before 3.11.2) moves the stack pointer into a buffer on
// the heap, and the handler of a signal that arrives then (Ctrl-C, or the end of a child process) writes over what lies before that buffer: the
// process ends with `corrupted size vs. prev_size`, or goes on with wrong numbers (github.com/uxlfoundation/oneDNN/issues/4845).
// The linker puts these two in the place of TensorFlow's own for the whole addon (`--wrap`). A signal that waits is delivered when the operation
// has ended, or to another thread meanwhile.
#include <csignal>
#include <initializer_list>

#include "tensorflow/c/eager/c_api.h"

extern "C" {
TFE_Context *__real_TFE_NewContext(const TFE_ContextOptions *options, TF_Status *status);
void __real_TFE_Execute(TFE_Op *operation, TFE_TensorHandle **results, int *count, TF_Status *status);
}

namespace {

/** All but those that a fault of the thread itself raises. */
class WithoutSignals {
 public:
  WithoutSignals() {
    sigset_t blocked;
    sigfillset(&blocked);
    for (int fault : {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS}) sigdelset(&blocked, fault);
    changed_ = pthread_sigmask(SIG_BLOCK, &blocked, &before_) == 0;
  }
  ~WithoutSignals() {
    if (changed_) pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t before_;
  bool changed_;
};

}  // namespace

extern "C" {

/** TensorFlow's own threads start here, and inherit what is blocked, for good. */
__attribute__((visibility("hidden"))) TFE_Context *__wrap_TFE_NewContext(const TFE_ContextOptions *options, TF_Status *status) {
  const WithoutSignals without_signals;
  return __real_TFE_NewContext(options, status);
}

__attribute__((visibility("hidden"))) void __wrap_TFE_Execute(TFE_Op *operation, TFE_TensorHandle **results, int *count, TF_Status *status) {
  const WithoutSignals without_signals;
  __real_TFE_Execute(operation, results, count, status);
}

}
