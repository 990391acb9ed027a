// A TensorFlow operation of Thaw's own, compiled into the addon: one step of SGD with momentum in one pass over memory. Composed of TensorFlow's
// operations it takes four, and on large filters a step costs what it reads and writes.
//   ThawMomentum(parameter, velocity, gradient, factor, coefficients; threads) → (new_parameter, new_velocity)
//   new_velocity = coefficients[0] factor gradient + coefficients[1] parameter + coefficients[2] velocity
//   new_parameter = parameter − new_velocity
// parameter, velocity and gradient have one shape, factor is a scalar, coefficients are three; all float32. On the CPU only.
#include <algorithm>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_status.h"
#include "tensorflow/c/tf_tensor.h"

namespace {

/** Below so many elements a second thread costs more than it saves. */
constexpr int64_t kElementsPerThread = 1 << 16;

struct Kernel {
  int64_t threads = 1;
};

void *Create(TF_OpKernelConstruction *construction) {
  auto *kernel = new Kernel;
  TF_Status *status = TF_NewStatus();
  TF_OpKernelConstruction_GetAttrInt64(construction, "threads", &kernel->threads, status);
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  return kernel;
}

void Delete(void *kernel) { delete static_cast<Kernel *>(kernel); }

__attribute__((optimize("O3"))) void Move(const float *__restrict parameter, const float *__restrict velocity, const float *__restrict gradient,
                                          float *__restrict new_parameter, float *__restrict new_velocity, float a, float b, float c, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float moved = a * gradient[i] + b * parameter[i] + c * velocity[i];
    new_velocity[i] = moved;
    new_parameter[i] = parameter[i] - moved;
  }
}

void Compute(void *state, TF_OpKernelContext *context) {
  constexpr int kInputs = 5;
  TF_Status *status = TF_NewStatus();
  TF_Tensor *inputs[kInputs] = {};
  TF_Tensor *outputs[2] = {};
  for (int i = 0; i < kInputs && TF_GetCode(status) == TF_OK; ++i) TF_GetInput(context, i, &inputs[i], status);
  if (TF_GetCode(status) == TF_OK) {
    const int64_t count = TF_TensorElementCount(inputs[0]);
    if (TF_TensorElementCount(inputs[1]) != count || TF_TensorElementCount(inputs[2]) != count || TF_TensorElementCount(inputs[3]) != 1 ||
        TF_TensorElementCount(inputs[4]) != 3) {
      TF_SetStatus(status, TF_INVALID_ARGUMENT, "ThawMomentum: parameter, velocity and gradient must be alike, factor a scalar, coefficients three");
    } else {
      std::vector<int64_t> shape(TF_NumDims(inputs[0]));
      for (size_t i = 0; i < shape.size(); ++i) shape[i] = TF_Dim(inputs[0], static_cast<int>(i));
      for (int i = 0; i < 2 && TF_GetCode(status) == TF_OK; ++i) {
        outputs[i] = TF_AllocateOutput(context, i, TF_FLOAT, shape.data(), static_cast<int>(shape.size()), count * sizeof(float), status);
      }
      if (TF_GetCode(status) == TF_OK) {
        const auto data = [](TF_Tensor *tensor) { return static_cast<float *>(TF_TensorData(tensor)); };
        const float *parameter = data(inputs[0]), *velocity = data(inputs[1]), *gradient = data(inputs[2]), *coefficients = data(inputs[4]);
        float *new_parameter = data(outputs[0]), *new_velocity = data(outputs[1]);
        const float a = coefficients[0] * *data(inputs[3]), b = coefficients[1], c = coefficients[2];
        const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(static_cast<Kernel *>(state)->threads, count / kElementsPerThread));
        const auto part = [&](int64_t index) {
          const int64_t from = count * index / parts, to = count * (index + 1) / parts;
          Move(parameter + from, velocity + from, gradient + from, new_parameter + from, new_velocity + from, a, b, c, to - from);
        };
        std::vector<std::thread> others;
        for (int64_t index = 1; index < parts; ++index) {
          try {
            others.emplace_back(part, index);
          } catch (const std::system_error &) {  // no further thread may be started here
            part(index);
          }
        }
        part(0);
        for (std::thread &other : others) other.join();
      }
    }
  }
  if (TF_GetCode(status) != TF_OK) TF_OpKernelContext_Failure(context, status);
  for (TF_Tensor *tensor : inputs) if (tensor != nullptr) TF_DeleteTensor(tensor);
  for (TF_Tensor *tensor : outputs) if (tensor != nullptr) TF_DeleteTensor(tensor);
  TF_DeleteStatus(status);
}

void InferShape(TF_ShapeInferenceContext *context, TF_Status *status) {
  TF_ShapeHandle *shape = TF_NewShapeHandle();
  TF_ShapeInferenceContextGetInput(context, 0, shape, status);
  for (int i = 0; i < 2 && TF_GetCode(status) == TF_OK; ++i) TF_ShapeInferenceContextSetOutput(context, i, shape, status);
  TF_DeleteShapeHandle(shape);
}

/** When the addon is loaded. Where TensorFlow refuses it there is no such operation, and the optimizer composes the step. */
struct Registration {
  Registration() {
    TF_Status *status = TF_NewStatus();
    TF_OpDefinitionBuilder *operation = TF_NewOpDefinitionBuilder("ThawMomentum");
    for (const char *input : {"parameter: float", "velocity: float", "gradient: float", "factor: float", "coefficients: float"}) {
      TF_OpDefinitionBuilderAddInput(operation, input);
    }
    for (const char *output : {"new_parameter: float", "new_velocity: float"}) TF_OpDefinitionBuilderAddOutput(operation, output);
    TF_OpDefinitionBuilderAddAttr(operation, "threads: int >= 1");
    TF_OpDefinitionBuilderSetShapeInferenceFunction(operation, &InferShape);
    TF_RegisterOpDefinition(operation, status);
    if (TF_GetCode(status) == TF_OK) {
      TF_RegisterKernelBuilder("ThawMomentum", TF_NewKernelBuilder("ThawMomentum", "CPU", &Create, &Compute, &Delete), status);
    }
    TF_DeleteStatus(status);
  }
} registration;

}  // namespace
